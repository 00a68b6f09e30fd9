//! The two meta pages: which one holds, and what it says. It reads no other page.

use super::page::{u16_at, u32_at, u64_at};
use super::{Bad, PAGE_HEADER, ReadAt, bad};

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const META_BYTES: usize = 64;
const META: u16 = 0x04;
/// Page sizes that operating systems have: 4 KiB to 64 KiB; 512 bytes is the least that bbolt's own metas fit into.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 512..=65_536;

#[derive(Clone, Copy, Debug)]
pub(super) struct Meta {
    pub(super) page_size: u64,
    pub(super) root: u64,
    pub(super) freelist: u64,
    pub(super) pages: u64,
    transaction: u64,
}

/// The valid meta with the highest transaction number.
pub(super) fn newest_meta(file: &(impl ReadAt + ?Sized), bytes: u64) -> Result<Meta, Bad> {
    // The second meta is a page further, and the first, when it is broken, does not say how far that is.
    let first = read_meta(file, 0);
    let steps = || std::iter::successors(Some(512_u64), |size| Some(size * 2)).take_while(|size| *size <= 65_536);
    let second = match &first {
        Ok(meta) => read_meta(file, meta.page_size),
        Err(why) => steps()
            .map(|size| read_meta(file, size).and_then(|meta| at_its_place(meta, size)))
            .find(Result::is_ok)
            .unwrap_or_else(|| Err(why.clone())),
    };
    match (first, second) {
        (Ok(a), Ok(b)) => Ok(if b.transaction > a.transaction { b } else { a }),
        (Ok(meta), Err(_)) | (Err(_), Ok(meta)) => Ok(meta),
        (Err(why), Err(_)) => Err(bad(format!("{why} (of {bytes} bytes)"))),
    }
}

fn at_its_place(meta: Meta, at: u64) -> Result<Meta, Bad> {
    if meta.page_size == at { Ok(meta) } else { Err(bad("a meta page is at a wrong place".to_owned())) }
}

fn read_meta(file: &(impl ReadAt + ?Sized), at: u64) -> Result<Meta, Bad> {
    let mut bytes = [0; PAGE_HEADER + META_BYTES];
    file.fill(&mut bytes, at).map_err(|_| bad("it is too short for a database".to_owned()))?;
    let meta = &bytes[PAGE_HEADER..];
    if u16_at(&bytes, 8)? & META == 0 || u32_at(meta, 0)? != MAGIC {
        return Err(bad("it does not begin like a bbolt database".to_owned()));
    }
    let version = u32_at(meta, 4)?;
    if version != VERSION {
        return Err(bad(format!("its format is version {version}, not {VERSION}")));
    }
    if u64_at(meta, META_BYTES - 8)? != fnv1a(&meta[..META_BYTES - 8]) {
        return Err(bad("a meta page's checksum is wrong".to_owned()));
    }
    let page_size = u64::from(u32_at(meta, 8)?);
    if !page_size.is_power_of_two() || !PAGE_SIZES.contains(&page_size) {
        return Err(bad(format!("its pages are said to have {page_size} bytes")));
    }
    let [root, freelist, pages, transaction] =
        [u64_at(meta, 16)?, u64_at(meta, 32)?, u64_at(meta, 40)?, u64_at(meta, 48)?];
    Ok(Meta { page_size, root, freelist, pages, transaction })
}

/// FNV-1a with 64 bits: bbolt's checksum of a meta page.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}
