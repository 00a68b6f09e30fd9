//! One page in memory, and numbers out of bytes. It checks every length before it cuts, and follows no page number.

use super::{Bad, PAGE_HEADER, bad};

const ELEMENT: usize = 16;

/// A page in memory.
pub(super) struct Page {
    pub(super) id: u64,
    pub(super) flags: u16,
    pub(super) count: usize,
    /// How many pages' room it takes; 0 for one within a value.
    pub(super) run: u64,
    bytes: Vec<u8>,
}

impl Page {
    pub(super) fn new(id: u64, run: u64, bytes: Vec<u8>) -> Result<Self, Bad> {
        let flags = u16_at(&bytes, 8)?;
        let count = usize::from(u16_at(&bytes, 10)?);
        Ok(Self { id, flags, count, run, bytes })
    }

    /// A leaf's element: flags, key, value.
    pub(super) fn leaf_element(&self, index: usize) -> Result<(u32, &[u8], &[u8]), Bad> {
        let at = PAGE_HEADER + index * ELEMENT;
        let [flags, pos, key_size, value_size] = self.words(at)?;
        let key_at = at.saturating_add(pos as usize);
        let key = self.cut(key_at, key_size as usize)?;
        let value = self.cut(key_at.saturating_add(key_size as usize), value_size as usize)?;
        Ok((flags, key, value))
    }

    /// Takes `bytes` from the room that the page's elements have together. In a real page none lies upon another; if they did,
    /// a small file could make much work.
    pub(super) fn take(&self, room: &mut usize, bytes: usize) -> Result<(), Bad> {
        let left = room.checked_sub(bytes);
        *room = left.ok_or_else(|| bad(format!("page {}: its elements lie upon each other", self.id)))?;
        Ok(())
    }

    /// The room that its elements have.
    pub(super) fn room(&self) -> usize {
        self.bytes.len()
    }

    /// A branch's children, whose keys must ascend.
    pub(super) fn branch(&self) -> Result<Vec<u64>, Bad> {
        let mut room = self.room();
        let mut children = Vec::with_capacity(self.count);
        let mut last: Option<&[u8]> = None;
        for index in 0..self.count {
            let at = PAGE_HEADER + index * ELEMENT;
            let [pos, key_size, ..] = self.words(at)?;
            let key = self.cut(at.saturating_add(pos as usize), key_size as usize)?;
            self.take(&mut room, key.len())?;
            if last.is_some_and(|last| last >= key) {
                return Err(bad(format!("page {}: its keys are not in order", self.id)));
            }
            last = Some(key);
            children.push(u64_at(&self.bytes, at + 8)?);
        }
        if children.is_empty() {
            return Err(bad(format!("page {} is a branch without children", self.id)));
        }
        Ok(children)
    }

    fn words(&self, at: usize) -> Result<[u32; 4], Bad> {
        let bytes = &self.bytes;
        Ok([u32_at(bytes, at)?, u32_at(bytes, at + 4)?, u32_at(bytes, at + 8)?, u32_at(bytes, at + 12)?])
    }

    fn cut(&self, at: usize, size: usize) -> Result<&[u8], Bad> {
        let end = at.checked_add(size);
        let cut = end.and_then(|end| self.bytes.get(at..end));
        cut.ok_or_else(|| bad(format!("page {}: an element reaches beyond its end", self.id)))
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Bad> {
    let cut = at.checked_add(N).and_then(|end| bytes.get(at..end)).and_then(|cut| cut.try_into().ok());
    cut.ok_or_else(|| bad("a page is shorter than what it says to hold".to_owned()))
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Bad> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Bad> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Bad> {
    array_at(bytes, at).map(u64::from_le_bytes)
}
