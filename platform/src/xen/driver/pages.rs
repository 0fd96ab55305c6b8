//! Pages that the back end may reach, each under its own grant, always the same.

use super::{Backend, NoPages, limits::PAGE};
use crate::machine::pieces::Pieces;
use std::ops::{Deref, DerefMut};

/// So many pages, and their grants.
pub struct Pages {
    pages: Pieces<PAGE>,
    references: Box<[u32]>,
}

impl Pages {
    /// Zeroed pages, granted to `backend`. An image never gives them back: nobody can take a page from a domain that holds it.
    pub fn new(backend: &mut dyn Backend, count: u16, writable: bool) -> Result<Self, NoPages> {
        let pages = Pieces::new(count, true).ok_or(NoPages)?;
        let references = (0..count).map(|index| backend.grant(pages.at(index, 0, PAGE), writable));
        let references = references.collect::<Option<_>>().ok_or(NoPages)?;
        Ok(Self { pages, references })
    }

    /// The grant of a page.
    pub fn reference(&self, index: u16) -> u32 {
        self.references[usize::from(index)]
    }
}

impl Deref for Pages {
    type Target = Pieces<PAGE>;

    fn deref(&self) -> &Pieces<PAGE> {
        &self.pages
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut Pieces<PAGE> {
        &mut self.pages
    }
}
