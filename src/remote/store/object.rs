//! A bucket of S3, or of what speaks its language, as a destination. Endpoint, region and credentials are the environment's
//! (`AWS_…`): what is on a command line, others on the machine can read.
//!
//! An object of S3 is there whole or not at all, and each part is sent with its SHA-256, which the server checks. So nothing
//! is renamed, and the size is asked for afterwards.

mod words;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use camino::Utf8Path;
use futures_util::StreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, MultipartUpload, ObjectStore as _, ObjectStoreExt as _, PutMode,
    PutPayload, RetryConfig,
};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;

use self::words::Trouble;
use super::fresh::Fresh;
use super::{Entry, SMALL, StoreError};

/// What is sent at one time; what is larger goes in parts of this size. S3 takes parts from 5 MiB, and 10,000 of them; two are
/// held in memory.
const PART: usize = 8 << 20;

/// Longest wait for one part to be sent: 8 MiB at 0.3 Mbit/s.
const PART_LIMIT: Duration = Duration::from_secs(240);

/// Longest wait for a small answer, its retries included.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Longest silence while an object is fetched.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// Retries stop after this long: half of what a small answer may take.
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// A bucket, and the prefix of the names in it.
#[derive(Clone)]
pub struct Object {
    bucket: String,
    prefix: Path,
    /// In place of the process's own, when it is given.
    environment: Option<Vec<(String, String)>>,
    /// Made by the first question, for the connections that it keeps.
    client: Arc<OnceLock<AmazonS3>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Object({self})")
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.as_ref().is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        (&self.bucket, &self.prefix) == (&other.bucket, &other.prefix)
    }
}

impl Eq for Object {}

impl Object {
    /// Reads what follows `s3://`: a bucket, and a prefix after a slash. Touches nothing.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        let prefix = Path::parse(prefix.trim_end_matches('/')).ok()?;
        // What S3 says of a bucket's name.
        let good = (3..=63).contains(&bucket.len()) && bucket.chars().all(fit) && !bucket.starts_with(['.', '-']);
        good.then(|| Self { bucket: bucket.to_owned(), prefix, environment: None, client: Arc::default() })
    }

    /// The same with these variables in place of the process's own.
    pub(super) fn with_environment(self, variables: Vec<(String, String)>) -> Self {
        Self { environment: Some(variables), client: Arc::default(), ..self }
    }

    pub(super) async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let what = || format!("list {self}");
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listing = self.client(what)?.list_with_delimiter(prefix);
        let listed = self.asked(what, CALL_LIMIT, listing).await?;
        let entry = |object: object_store::ObjectMeta| {
            let name = object.location.filename().unwrap_or_default().to_owned();
            Entry { name, bytes: object.size }
        };
        let mut entries: Vec<Entry> = listed.objects.into_iter().map(entry).collect();
        entries.sort();
        Ok(entries)
    }

    pub(super) async fn put(&self, name: &str, from: &Utf8Path) -> Result<(), StoreError> {
        let what = || format!("put {name} into {self}");
        let local = |error: std::io::Error| failed(what(), Trouble(format!("{from} cannot be read: {error}")));
        let mut file = tokio::fs::File::open(from).await.map_err(local)?;
        let bytes = file.metadata().await.map_err(local)?.len();
        if bytes <= PART as u64 {
            let whole = next_part(&mut file).await.map_err(local)?;
            same_length(whole.len() as u64, bytes).map_err(|late| self.told(what(), &late))?;
            self.put_whole(name, whole).await?;
        } else {
            self.put_in_parts(name, file, bytes).await?;
        }
        let stored = self.asked(what, CALL_LIMIT, self.client(what)?.head(&self.at(name))).await?;
        if stored.size == bytes {
            Ok(())
        } else {
            let why = format!("it has {} bytes there, and {bytes} here", stored.size);
            Err(failed(what(), Trouble(why)))
        }
    }

    /// In one piece, and only where nothing has the name.
    async fn put_whole(&self, name: &str, whole: Vec<u8>) -> Result<(), StoreError> {
        let what = || format!("put {name} into {self}");
        let at = self.at(name);
        let putting = self.client(what)?.put_opts(&at, PutPayload::from(whole), PutMode::Create.into());
        match within(PART_LIMIT, putting).await {
            Ok(_) => Ok(()),
            Err(Late::Store(object_store::Error::AlreadyExists { .. })) => Err(self.exists(name)),
            Err(late) => Err(self.told(what(), &late)),
        }
    }

    /// In parts. S3 cannot be told to finish such an object only where nothing has the name: it is looked first, and the
    /// manifest of a backup, which is small, settles whose the name is.
    async fn put_in_parts(&self, name: &str, file: tokio::fs::File, bytes: u64) -> Result<(), StoreError> {
        let what = || format!("put {name} into {self}");
        let (client, at) = (self.client(what)?, self.at(name));
        match within(CALL_LIMIT, client.head(&at)).await {
            Ok(_) => return Err(self.exists(name)),
            Err(Late::Store(object_store::Error::NotFound { .. })) => {}
            Err(late) => return Err(self.told(what(), &late)),
        }
        let mut upload = self.asked(what, CALL_LIMIT, client.put_multipart(&at)).await?;
        let sent = send_parts(upload.as_mut(), file, bytes).await;
        let Err(late) = sent else { return Ok(()) };
        let mut failure = self.told(what(), &late);
        // Parts of an upload that nobody finishes are stored, and paid for, until the bucket's own rules remove them.
        if within(CALL_LIMIT, upload.abort()).await.is_err()
            && let StoreError::Failed { cause, .. } = &mut failure
        {
            let why = format!(
                "{cause}; nor could its parts be taken back: the bucket keeps them until a rule of its own ends"
            );
            *cause = Box::new(Trouble(why));
        }
        Err(failure)
    }

    pub(super) async fn get(&self, name: &str, into: &Utf8Path) -> Result<(), StoreError> {
        let what = || format!("fetch {name} from {self}");
        let found = self.asked(what, CALL_LIMIT, self.client(what)?.get(&self.at(name))).await?;
        let bytes = found.meta.size;
        let local = |error: std::io::Error| failed(what(), Trouble(format!("{into} cannot be written: {error}")));
        let mut file = Fresh::new(into).map_err(local)?;
        let (mut stream, mut came) = (found.into_stream(), 0);
        while let Some(chunk) = tokio::time::timeout(IDLE_LIMIT, stream.next())
            .await
            .map_err(|_| failed(what(), Trouble(format!("nothing came for {} s", IDLE_LIMIT.as_secs()))))?
        {
            let chunk = chunk.map_err(|error| self.told(what(), &Late::Store(error)))?;
            came += chunk.len() as u64;
            file.write(&chunk).map_err(local)?;
        }
        if came != bytes {
            return Err(failed(what(), Trouble(format!("{came} of its {bytes} bytes came"))));
        }
        tokio::task::spawn_blocking(|| file.finish()).await.map_err(std::io::Error::other).flatten().map_err(local)
    }

    pub(super) async fn read(&self, names: &[String]) -> Result<Vec<String>, StoreError> {
        let mut texts = Vec::with_capacity(names.len());
        for name in names {
            let what = || format!("read {name} from {self}");
            let client = self.client(what)?;
            let fetching = async {
                let found = client.get_range(&self.at(name), 0..SMALL).await?;
                Ok(String::from_utf8(found.to_vec()))
            };
            let text = self.asked(what, CALL_LIMIT, fetching).await?;
            texts.push(text.map_err(|_| failed(what(), Trouble("it is no text".to_owned())))?);
        }
        Ok(texts)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let what = || format!("remove {name} from {self}");
        self.asked(what, CALL_LIMIT, self.client(what)?.delete(&self.at(name))).await
    }

    fn at(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn exists(&self, name: &str) -> StoreError {
        StoreError::Exists { at: self.to_string(), name: name.to_owned() }
    }

    fn told(&self, what: String, late: &Late) -> StoreError {
        failed(what, words::trouble(&self.bucket, late))
    }

    /// The client, made by the environment.
    fn client(&self, what: impl Fn() -> String) -> Result<&AmazonS3, StoreError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Whoever came first has chosen the same: ring is the only one that is compiled in.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 5, retry_timeout: RETRY_LIMIT };
        let mut builder = AmazonS3Builder::new().with_bucket_name(&self.bucket).with_retry(retry);
        let mut plain = false;
        for (name, value) in self.environment.clone().unwrap_or_else(|| std::env::vars().collect()) {
            let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().ok());
            match key.flatten() {
                // The options below take the place of all that the builder was told of them.
                Some(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp)) => plain = value == "true",
                Some(key) if !value.is_empty() => builder = builder.with_config(key, value),
                _ => {}
            }
        }
        let options = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(Duration::from_secs(10))
            .with_allow_http(plain);
        let client = builder
            .with_client_options(options)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()
            .map_err(|error| self.told(what(), &Late::Store(error)))?;
        Ok(self.client.get_or_init(|| client))
    }

    async fn asked<T>(
        &self,
        what: impl Fn() -> String,
        limit: Duration,
        asking: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, StoreError> {
        within(limit, asking).await.map_err(|late| self.told(what(), &late))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Late {
    /// It was an error.
    Store(object_store::Error),
    /// It did not come within this time.
    Limit(Duration),
    /// The file that is sent cannot be read.
    File(std::io::Error),
}

async fn within<T>(limit: Duration, asking: impl Future<Output = object_store::Result<T>>) -> Result<T, Late> {
    tokio::time::timeout(limit, asking).await.map_err(|_| Late::Limit(limit))?.map_err(Late::Store)
}

/// Sends the file of `bytes` bytes, reading one part while the one before is on its way, and makes an object of the parts.
async fn send_parts(upload: &mut dyn MultipartUpload, mut file: tokio::fs::File, bytes: u64) -> Result<(), Late> {
    let mut read = 0;
    let mut before: Option<JoinHandle<Result<(), Late>>> = None;
    let sent = loop {
        let part = match next_part(&mut file).await {
            Ok(part) => part,
            Err(error) => break Err(Late::File(error)),
        };
        if let Err(late) = ended(before.take()).await {
            break Err(late);
        }
        if part.is_empty() {
            break same_length(read, bytes);
        }
        read += part.len() as u64;
        let sending = upload.put_part(PutPayload::from(part));
        before = Some(tokio::spawn(within(PART_LIMIT, sending)));
    };
    // Nothing is to be on its way any more when the upload is given up.
    if let Some(before) = before {
        before.abort();
        let _ = before.await;
    }
    sent?;
    within(CALL_LIMIT, upload.complete()).await.map(|_| ())
}

/// A file that grows or shrinks while it is sent makes no object.
fn same_length(read: u64, bytes: u64) -> Result<(), Late> {
    if read == bytes {
        return Ok(());
    }
    Err(Late::File(std::io::Error::other(format!("it had {bytes} bytes and now has {read}"))))
}

async fn ended(sending: Option<JoinHandle<Result<(), Late>>>) -> Result<(), Late> {
    match sending {
        Some(sending) => sending.await.unwrap_or_else(|died| Err(Late::File(std::io::Error::other(died)))),
        None => Ok(()),
    }
}

/// As much of the file as one part holds; less only at its end.
async fn next_part(file: &mut tokio::fs::File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part)
}

fn failed(what: String, cause: Trouble) -> StoreError {
    StoreError::Failed { what, cause: Box::new(cause) }
}
