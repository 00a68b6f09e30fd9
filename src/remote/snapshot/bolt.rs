//! Reads a bbolt database page by page, without trusting a byte of it: every length and every page number is checked before
//! it is used, no page is visited twice, and depth is bounded. It only reads, and knows nothing of etcd.
//!
//! The format (bbolt's `page.go`, `bucket.go`, `db.go`), all numbers little-endian: a page begins with `id u64, flags u16,
//! count u16, overflow u32`; a leaf's elements are `flags u32, pos u32, ksize u32, vsize u32`, a branch's `pos u32, ksize
//! u32, child u64`, where `pos` counts from the element. Pages 0 and 1 are metas: `magic u32, version u32, page size u32,
//! flags u32, root u64, sequence u64, freelist u64, pages u64, transaction u64, checksum u64`. A bucket's value is
//! `root u64, sequence u64`; with root 0 the bucket's only page follows in the value.

mod meta;
mod page;

use self::meta::newest_meta;
use self::page::{Page, u32_at, u64_at};
use super::Bad;

const PAGE_HEADER: usize = 16;
const BUCKET_HEADER: usize = 16;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const FREELIST: u16 = 0x10;
const LEAF_IS_BUCKET: u32 = 0x01;
/// The freelist's page number when none is kept on disk.
const NO_FREELIST: u64 = u64::MAX;
/// Deeper trees than this are loops or nonsense: with two keys a page, 2^32 pages are 32 deep.
const DEEPEST: usize = 32;
/// The longest run of pages taken for one: etcd refuses values over 1.5 MiB by default, and 64 MiB is far beyond any
/// setting of it. Bounds memory, whatever the file says.
const LONGEST_PAGE: u64 = 64 << 20;

/// Bytes that can be read at a place.
pub(super) trait ReadAt {
    fn fill(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()>;
}

impl ReadAt for std::fs::File {
    fn fill(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, at)
    }
}

impl ReadAt for [u8] {
    fn fill(&self, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..)).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// An open database.
pub(super) struct Database<'a, R: ?Sized> {
    file: &'a R,
    page_size: u64,
    /// Pages in use; every page number is below it.
    pages: u64,
    root: u64,
    freelist: u64,
}

/// What a walk meets.
pub(super) struct Entry<'a> {
    /// Name of the top-level bucket it is in.
    pub(super) bucket: &'a [u8],
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a, R: ReadAt + ?Sized> Database<'a, R> {
    /// Opens the first `bytes` bytes of `file` as a database.
    pub(super) fn open(file: &'a R, bytes: u64) -> Result<Self, Bad> {
        let meta = newest_meta(file, bytes)?;
        let fits = meta.pages.checked_mul(meta.page_size).is_some_and(|needed| needed <= bytes);
        if !fits {
            return Err(bad(format!("it says to have {} pages, and is shorter: it is cut off", meta.pages)));
        }
        let database =
            Self { file, page_size: meta.page_size, pages: meta.pages, root: meta.root, freelist: meta.freelist };
        database.check_freelist()?;
        Ok(database)
    }

    /// Visits every key and value of every bucket, each bucket's in ascending order.
    pub(super) fn walk(&self, visit: &mut dyn FnMut(&Entry<'_>) -> Result<(), Bad>) -> Result<(), Bad> {
        let mut walk = Walk { database: self, seen: Seen::new(self.pages), visit };
        walk.tree(self.root, None)
    }

    fn check_freelist(&self) -> Result<(), Bad> {
        if self.freelist == NO_FREELIST {
            return Ok(());
        }
        match self.page(self.freelist)?.flags {
            FREELIST => Ok(()),
            flags => Err(bad(format!("page {} should be the freelist and has type {flags:#x}", self.freelist))),
        }
    }

    /// Reads a page with its overflow.
    fn page(&self, id: u64) -> Result<Page, Bad> {
        if id < 2 || id >= self.pages {
            return Err(bad(format!("page {id} is named, of {}", self.pages)));
        }
        let at = id * self.page_size;
        let mut header = [0; PAGE_HEADER];
        self.file.fill(&mut header, at).map_err(|error| bad(format!("page {id}: {error}")))?;
        let own_id = u64_at(&header, 0)?;
        if own_id != id {
            return Err(bad(format!("page {id} says to be page {own_id}")));
        }
        let run = u64::from(u32_at(&header, 12)?) + 1;
        let length = run.saturating_mul(self.page_size);
        if run > self.pages - id || length > LONGEST_PAGE {
            return Err(bad(format!("page {id} says to be {run} pages long")));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| bad("too long a page".to_owned()))?];
        self.file.fill(&mut bytes, at).map_err(|error| bad(format!("page {id}: {error}")))?;
        Page::new(id, run, bytes)
    }
}

/// A walk over all buckets.
struct Walk<'w, 'a, R: ?Sized> {
    database: &'w Database<'a, R>,
    seen: Seen,
    visit: &'w mut dyn FnMut(&Entry<'_>) -> Result<(), Bad>,
}

/// Where in a tree a walk is: which bucket, how deep, and the last key met, which the next must be above.
struct Place {
    bucket: Option<Vec<u8>>,
    depth: usize,
    last_key: Option<Vec<u8>>,
}

impl<R: ReadAt + ?Sized> Walk<'_, '_, R> {
    fn tree(&mut self, root: u64, bucket: Option<&[u8]>) -> Result<(), Bad> {
        let mut place = Place { bucket: bucket.map(<[u8]>::to_vec), depth: 0, last_key: None };
        self.subtree(root, &mut place)
    }

    fn subtree(&mut self, id: u64, place: &mut Place) -> Result<(), Bad> {
        if place.depth > DEEPEST {
            return Err(bad(format!("page {id} is more than {DEEPEST} deep")));
        }
        let page = self.database.page(id)?;
        self.seen.all_new(id, page.run)?;
        match page.flags {
            LEAF => self.leaf(&page, place),
            BRANCH => {
                place.depth += 1;
                for child in page.branch()? {
                    self.subtree(child, place)?;
                }
                place.depth -= 1;
                Ok(())
            }
            flags => Err(bad(format!("page {id} should be a branch or a leaf and has type {flags:#x}"))),
        }
    }

    fn leaf(&mut self, page: &Page, place: &mut Place) -> Result<(), Bad> {
        let mut room = page.room();
        for index in 0..page.count {
            let (flags, key, value) = page.leaf_element(index)?;
            page.take(&mut room, key.len() + value.len())?;
            if place.last_key.as_deref().is_some_and(|last| last >= key) {
                return Err(bad(format!("page {}: its keys are not in order", page.id)));
            }
            place.last_key = Some(key.to_vec());
            match (&place.bucket, flags & LEAF_IS_BUCKET != 0) {
                (None, false) => return Err(bad(format!("page {}: a key outside of all buckets", page.id))),
                (None, true) => self.bucket(key, value)?,
                // Etcd has no buckets within buckets.
                (Some(_), true) => return Err(bad(format!("page {}: a bucket within a bucket", page.id))),
                (Some(bucket), false) => (self.visit)(&Entry { bucket, key, value })?,
            }
        }
        Ok(())
    }

    fn bucket(&mut self, name: &[u8], value: &[u8]) -> Result<(), Bad> {
        match u64_at(value, 0)? {
            0 => {
                let inline = value.get(BUCKET_HEADER..).unwrap_or_default().to_vec();
                let page = Page::new(0, 0, inline)?;
                if page.flags != LEAF {
                    return Err(bad(format!("an inline bucket has type {:#x}", page.flags)));
                }
                self.leaf(&page, &mut Place { bucket: Some(name.to_vec()), depth: 0, last_key: None })
            }
            root => self.tree(root, Some(name)),
        }
    }
}

/// Page numbers met so far.
struct Seen(Vec<u64>);

impl Seen {
    fn new(pages: u64) -> Self {
        // `pages` was checked against the file's size: one bit for each page that is really there.
        Self(vec![0; usize::try_from(pages.div_ceil(64)).unwrap_or(0)])
    }

    fn all_new(&mut self, first: u64, run: u64) -> Result<(), Bad> {
        for id in first..first + run {
            let word = usize::try_from(id / 64).ok().and_then(|word| self.0.get_mut(word));
            let word = word.ok_or_else(|| bad(format!("page {id} is beyond the end")))?;
            let bit = 1 << (id % 64);
            if *word & bit != 0 {
                return Err(bad(format!("page {id} is used twice")));
            }
            *word |= bit;
        }
        Ok(())
    }
}

fn bad(why: String) -> Bad {
    Bad::Pages(why)
}
