//! Branches, commits, trees and blobs of git in memory, in git's own format.
//!
//! ```text
//!     remote ─► PackReceiver ─► Resolver ─► Repository ─ branch ─► Commit ─► Tree ─► files
//!                                               ▲   │
//!                         edit, merge, commit ──┘   └─► pack_for_push ─► remote
//! ```
//!
//! ```
//! use store::{Edits, Format, Identity, Limits, Repository};
//!
//! let mut repository = Repository::new(Format::Sha1, Limits::default());
//! let mut edits = Edits::default();
//! edits.write("zones/example.com", "$TTL 3600\n")?;
//! let tree = repository.edit(None, &edits)?;
//! let author = Identity::new("ns1", "ns1@example.com", 1_700_000_000);
//! let commit = repository.commit(tree, &[], &author, "Add example.com\n")?;
//! repository.set_branch("main", Some(commit));
//! let file = repository.tree(&commit)?.read("zones/example.com")?;
//! assert_eq!(file.as_deref(), Some(&b"$TTL 3600\n"[..]));
//! # Ok::<(), store::Error>(())
//! ```
//!
//! What is not here: files, index, work tree, hooks; no unsafe code, no clock. Everything but `remote` and [`Store`] has
//! no socket and no executor: bytes in, bytes out.
//!
//! Reading order: [`object`], [`Repository`], [`pack`], [`openssh`], [`signature`], [`remote`], [`Store`], [`limits`].

mod error;
mod id;
pub mod limits;
mod live;
pub mod object;
pub mod openssh;
pub mod pack;
pub mod remote;
mod repository;
mod room;
pub mod signature;

pub use error::Error;
pub use id::{Collision, Format, Hasher, NoId, ObjectId};
pub use limits::Limits;
pub use live::{ChangeError, Conflict, Make, Options, Store};
pub use object::{BadPath, Commit, Identity, Kind, Malformed, Mode, Object, Tag, TreePath};
pub use pack::{PackError, PackReceiver, Received, Resolver};
pub use repository::{Change, Contested, Edits, Existing, Listing, Merged, Repository, Resolution, Tree};
