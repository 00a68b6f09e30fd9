//! A folder on this machine as a destination.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::DirBuilderExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

use super::fresh::{Fresh, parent, sync};
use super::{Entry, LEFT_BEHIND, SMALL, StoreError, TEMPORARY};

/// A folder; made, 0700, by the first object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: Utf8PathBuf,
}

impl Folder {
    /// The folder at `path`; touches nothing.
    pub fn new(path: Utf8PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Makes it, when it is not there.
    pub fn make(&self) -> Result<(), StoreError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path);
        made.map_err(failed(|| format!("make {}", self.path)))
    }

    pub(super) async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let folder = self.clone();
        blocking(move || folder.entries().map_err(failed(|| format!("list {}", folder.path)))).await
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let listed = match fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut entries = Vec::new();
        for entry in listed {
            let entry = entry?;
            // A name that is not UTF-8 is none of ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let data = entry.metadata()?;
            if data.is_file() && !name.starts_with(TEMPORARY) {
                entries.push(Entry { name, bytes: data.len() });
            }
        }
        entries.sort();
        Ok(entries)
    }

    pub(super) async fn put(&self, name: &str, from: &Utf8Path) -> Result<(), StoreError> {
        let (folder, name, from) = (self.clone(), name.to_owned(), from.to_owned());
        blocking(move || {
            folder.make()?;
            let at = folder.path.join(&name);
            let what = || format!("put {name} into {}", folder.path);
            folder.tidy().map_err(failed(what))?;
            match link_or_copy(&from, &at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Err(StoreError::Exists { at: folder.path.to_string(), name: name.clone() })
                }
                done => done.map_err(failed(what)),
            }
        })
        .await
    }

    /// Takes away what runs that were killed left here: a disk that fills night by night keeps no backups.
    fn tidy(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let temporary = entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY));
            let age = entry.metadata().and_then(|data| data.modified()).map(|time| time.elapsed().unwrap_or_default());
            if temporary && age.is_ok_and(|age| age > LEFT_BEHIND) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) async fn get(&self, name: &str, into: &Utf8Path) -> Result<(), StoreError> {
        let (from, into, name) = (self.path.join(name), into.to_owned(), name.to_owned());
        blocking(move || copy(&from, &into).map_err(failed(|| format!("fetch {name} into {into}")))).await
    }

    pub(super) async fn read(&self, names: &[String]) -> Result<Vec<String>, StoreError> {
        let (folder, names) = (self.clone(), names.to_vec());
        let one = move |name: &String| {
            let mut text = String::new();
            let opened = File::open(folder.path.join(name));
            let read = opened.and_then(|file| file.take(SMALL).read_to_string(&mut text));
            read.map_err(failed(|| format!("read {name} in {}", folder.path)))?;
            Ok(text)
        };
        blocking(move || names.iter().map(one).collect()).await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let folder = self.clone();
        let name = name.to_owned();
        blocking(move || {
            let removed = fs::remove_file(folder.path.join(&name)).and_then(|()| sync(&folder.path));
            removed.map_err(failed(|| format!("remove {name} from {}", folder.path)))
        })
        .await
    }
}

/// What was staged in this very folder only gets a second name, which costs nothing and is there at once or not at all.
/// Elsewhere it is copied, also within one file system: two destinations are to have two copies.
fn link_or_copy(from: &Utf8Path, at: &Utf8Path) -> io::Result<()> {
    // A folder may be written in more than one way.
    if parent(from).canonicalize_utf8()? != parent(at).canonicalize_utf8()? {
        return copy(from, at);
    }
    File::open(from)?.sync_all()?;
    match fs::hard_link(from, at) {
        Ok(()) => sync(parent(at)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // Not every file system knows second names.
        Err(_) => copy(from, at),
    }
}

/// A copy that appears under its name only when it was read back, and is whole and on disk.
fn copy(from: &Utf8Path, at: &Utf8Path) -> io::Result<()> {
    let (mut fresh, mut source, mut read) = (Fresh::new(at)?, File::open(from)?, Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        read.update(&buffer[..count]);
        fresh.write(&buffer[..count])?;
    }
    fresh.file().sync_all()?;
    let (mut back, mut file) = (Sha256::new(), fresh.file());
    file.rewind()?;
    io::copy(&mut file, &mut back)?;
    if back.finalize() != read.finalize() {
        return Err(io::Error::other("the disk gives back other bytes than were written"));
    }
    fresh.finish()
}

fn failed(what: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> StoreError {
    move |cause| StoreError::Failed { what: what(), cause: Box::new(cause) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|died| {
        Err(StoreError::Failed { what: "finish with the folder".to_owned(), cause: Box::new(died) })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Store;
    use super::*;

    /// A destination, and a file to put there.
    fn place() -> (tempfile::TempDir, Utf8PathBuf, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let base = Utf8PathBuf::try_from(folder.path().to_owned()).expect("a path");
        let file = base.join("file");
        fs::write(&file, "what is kept").expect("written");
        let store = Store::parse(base.join("deep/below").as_str()).expect("a destination");
        (folder, file, store)
    }

    /// However the folder is written: a gibibyte is not copied beside itself.
    #[tokio::test]
    async fn what_was_staged_in_the_folder_itself_is_not_copied() {
        use std::os::unix::fs::MetadataExt as _;
        let (_folder, file, store) = place();
        store.put("one", &file).await.expect("put");
        let staged = store.folder().expect("a folder").path().join("staged");
        fs::write(&staged, "what is kept").expect("written");
        let around = Store::parse(staged.with_file_name("../below").as_str()).expect("a destination");
        around.put("two", &staged).await.expect("put");
        let inode = |name: &str| fs::metadata(staged.with_file_name(name)).expect("it is there").ino();
        assert_eq!(inode("two"), inode("staged"));
        assert_ne!(inode("one"), fs::metadata(&file).expect("it is there").ino());
    }

    #[tokio::test]
    async fn what_is_put_is_listed_fetched_and_removed() {
        let (_folder, file, store) = place();
        assert_eq!(store.list().await.expect("nothing yet"), []);
        store.put("one", &file).await.expect("put");
        let entry = Entry { name: "one".to_owned(), bytes: 12 };
        assert_eq!(store.list().await.expect("a list"), [entry]);
        let back = file.with_file_name("back");
        store.get("one", &back).await.expect("fetched");
        assert_eq!(fs::read_to_string(&back).expect("it is there"), "what is kept");
        assert_eq!(fs::metadata(&back).expect("it is there").permissions().mode() & 0o777, 0o600);
        store.remove("one").await.expect("removed");
        assert_eq!(store.list().await.expect("a list"), []);
        assert!(store.remove("one").await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_replaced_and_nothing_unfinished_is_listed() {
        let (_folder, file, store) = place();
        store.put("one", &file).await.expect("put");
        fs::remove_file(&file).expect("removed");
        fs::write(&file, "another").expect("written");
        let twice = store.put("one", &file).await.expect_err("it is there");
        assert!(matches!(&twice, StoreError::Exists { name, .. } if name == "one"), "{twice:?}");
        let onto = copy(&file, &Utf8Path::new(&store.to_string()).join("one")).expect_err("it is there");
        assert_eq!(onto.kind(), io::ErrorKind::AlreadyExists);
        fs::write(Utf8Path::new(&store.to_string()).join(".windlass-x"), "half").expect("written");
        let names: Vec<String> = store.list().await.expect("a list").into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["one"]);
    }

    #[tokio::test]
    async fn two_destinations_have_two_copies_and_what_is_staged_in_one_is_not_copied() {
        use std::os::unix::fs::MetadataExt as _;
        let (_folder, file, store) = place();
        let own = Store::parse(parent(&file).as_str()).expect("a destination");
        own.put("staged", &file).await.expect("put");
        store.put("copied", &file).await.expect("put");
        let inode = |path: &Utf8Path| fs::metadata(path).expect("it is there").ino();
        assert_eq!(inode(&file.with_file_name("staged")), inode(&file));
        assert_ne!(inode(&Utf8Path::new(&store.to_string()).join("copied")), inode(&file));
    }

    #[tokio::test]
    async fn what_a_killed_run_left_goes_after_a_day() {
        let (_folder, file, store) = place();
        store.put("one", &file).await.expect("put");
        let below = Utf8PathBuf::from(store.to_string());
        let day = std::time::Duration::from_secs(86_400);
        for (name, age) in [(".windlass-old", day * 2), (".windlass-new", day / 2), ("old", day * 2)] {
            let left = File::create(below.join(name)).expect("made");
            left.set_modified(std::time::SystemTime::now() - age).expect("aged");
        }
        store.put("two", &file).await.expect("put");
        let mut names: Vec<_> = below
            .read_dir_utf8()
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_owned())
            .collect();
        names.sort();
        assert_eq!(names, [".windlass-new", "old", "one", "two"]);
    }

    #[test]
    fn destinations_as_people_write_them() {
        assert_eq!(Store::parse("file:///srv/backups").expect("a folder").to_string(), "/srv/backups");
        assert_eq!(Store::parse("backups").expect("a folder").to_string(), "backups");
        for same in
            ["ssh://backup@store:2222/srv/etcd", "ssh://store/~/etcd", "s3://my-bucket/etcd/lab", "s3://my-bucket"]
        {
            assert_eq!(Store::parse(same).expect("a destination").to_string(), same);
        }
        for wrong in
            ["", "file://backups", "ftp://host/x", "s3://", "s3://B/x", "s3://my_bucket/x", "ssh://host", "ssh://-oX/y"]
        {
            assert!(matches!(Store::parse(wrong), Err(StoreError::Unknown(_))), "{wrong}");
        }
    }
}
