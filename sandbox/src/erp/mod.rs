//! A pretend ERP: plain JSON over REST on a loopback socket, with every fault a client must survive on request, and a log
//! of what it really committed. It stands beside the pretend store and shares nothing with it but the way it speaks HTTP.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use sandbox::When;
//! use sandbox::erp::{Erp, ErpOptions, Fault, Loss, Rule};
//!
//! let erp = Erp::start(ErpOptions::default()).await?;
//! let cut = erp.books().fault(Rule::create(Fault::AnswerLost(Loss::Reset)).when(When::Nth(3)));
//! // … let a client write to erp.url() …
//! assert_eq!(erp.books().fired(cut), 1);
//! let commits = erp.books().truth_of("sales-orders");
//! erp.stop().await;
//! # Ok(())
//! # }
//! ```

mod auth;
mod batch;
mod books;
mod control;
mod document;
mod fault;
mod ledger;
mod lists;
mod options;
mod records;
mod server;
mod shelf;
mod site;
mod writes;

pub use auth::AccessCounts;
pub use books::{Asked, Books, Snapshot};
pub use document::Document;
pub use fault::{FAULTS, Fault, Kind, Loss, Match, Rule, Spoil};
pub use ledger::{Commit, Deed};
pub use options::{Credentials, ErpOptions, Way};
pub use server::{Erp, serve};
pub use shelf::Held;
