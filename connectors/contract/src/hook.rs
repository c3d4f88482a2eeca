//! Calls from the other side that say that something changed: a doorbell with a name on it. What a call
//! carries besides topic and ids is never believed; the record is read.

use async_trait::async_trait;

use crate::{Error, Hash, Key, Stamp};

/// Opens the calls of one system. What it says of a call follows from the call and the secrets alone.
#[async_trait]
pub trait Webhook: std::fmt::Debug + Send + Sync {
    /// Checks the signature over the raw bytes, in constant time, and only then reads what the call is about.
    fn open(&self, call: &Call<'_>) -> Result<Event, Refused>;
    /// The other side's clock as far as it is known, so that a wrong clock here makes no call look old.
    async fn now(&self) -> Stamp;
    /// A call as the other side would send it now, signed with the first secret: headers and body. `None` for a
    /// topic that is about no record.
    fn compose(&self, topic: &str, record: &Key, at: Stamp) -> Option<Composed>;
}

/// A call as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Names in lower case; a name that came twice is there twice.
    pub headers: &'a [(&'a str, &'a [u8])],
    pub body: &'a [u8],
}

impl<'a> Call<'a> {
    /// The header, if it came exactly once; otherwise how often it came.
    pub fn header(&self, name: &str) -> Result<&'a [u8], usize> {
        let mut values = self.headers.iter().filter(|(known, _)| *known == name);
        match (values.next(), values.count()) {
            (Some((_, value)), 0) => Ok(value),
            (None, _) => Err(0),
            (Some(_), more) => Err(1 + more),
        }
    }
}

/// A call made up here.
#[derive(Clone, Debug)]
pub struct Composed {
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What a call with a good signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same for every attempt to deliver it.
    pub id: String,
    pub topic: String,
    pub body_hash: Hash,
    /// When this attempt was signed, by the other side's clock.
    pub signed_at: Stamp,
    pub about: About,
    /// Headers, which are not signed, say something else than the body, which counts.
    pub contradicted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// One record, by the resource that it is read from and its key there.
    Record { resource: &'static str, key: Key },
    /// The same, said to be deleted.
    Deleted { resource: &'static str, key: Key },
    /// A record of this resource; which one cannot be told.
    Resource(&'static str),
    /// The app may call the store again, or for the first time.
    Installed,
    /// The store has put the app out: it will not be answered any more.
    Uninstalled,
    /// A wish of a person, or of the store's owner, about personal data.
    Privacy(Privacy),
    /// Another store than ours.
    OtherStore,
    /// Nothing that is known here.
    Unknown,
}

/// A request under privacy law, with what it names. Nothing of it is kept longer than it takes to carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy {
    pub kind: PrivacyKind,
    /// The person's record among the customers.
    pub customer: Option<Key>,
    /// Orders that the request names.
    pub orders: Vec<Key>,
    /// E-mail addresses, phone numbers and names of the person, as they were written.
    pub words: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivacyKind {
    /// The person wants to know what is kept.
    Tell,
    /// What is kept of the person is to go.
    Redact,
    /// What is kept of all persons of the store is to go.
    RedactAll,
}

/// Why a call was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A header that every call has is missing; its name.
    Missing(&'static str),
    /// None of the secrets has signed this.
    Signature,
    /// Well signed, and not what a call looks like; what is wrong with it.
    Malformed(String),
}

/// The list of who is called about what, at the other side.
#[async_trait]
pub trait Subscriptions: std::fmt::Debug + Send + Sync {
    async fn list(&self) -> Result<Vec<Subscription>, Error>;
    /// Asks to be called about one topic. Does not look whether that was asked for before.
    async fn create(&self, topic: &str, url: &str) -> Result<Subscribed, Error>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub topic: String,
    pub url: String,
    pub is_active: bool,
    /// Failed attempts in a row, where that is told.
    pub failures: Option<u64>,
    pub last_success_at: Option<Stamp>,
    pub last_failure_at: Option<Stamp>,
}

/// A subscription that was just made, with the secret that its calls will be signed with: shown this once.
#[derive(Clone, Debug)]
pub struct Subscribed {
    pub subscription: Subscription,
    pub secret: Option<secrecy::SecretString>,
}
