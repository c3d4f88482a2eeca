//! Where the state holds something of a person. Looks only, in pieces, so that nobody waits for it long.

use std::collections::BTreeSet;

use contract::{Key, Stamp};
use sqlx::Row;

use super::person::{Person, Sign};
use super::{Places, REMOVED, Request, Store};

/// Rows looked at with one answer of the database.
const PIECE: i64 = 250;
/// What was on its way when the request arrived is kept by then. Records from after that are what the store shows
/// since; of those only an e-mail address or a telephone number is still the person's.
pub(super) const ON_ITS_WAY_MS: i64 = 120_000;

/// What was found, by where it is.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Of the outbox: row, hash, and the feed to read the record from again.
    pub(super) versions: Vec<(i64, i64, Option<String>)>,
    pub(super) readings: Vec<i64>,
    pub(super) lines: Vec<i64>,
    /// Flows whose last error tells of the person.
    pub(super) errors: Vec<String>,
    pub(super) memories: Vec<(String, String)>,
    pub(super) alerts: Vec<String>,
    /// Files that are made and not delivered yet, and calls that are not settled.
    pub(super) open: BTreeSet<i64>,
}

impl Found {
    /// A memory, which tells no time, is put away each time and holds up nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
            && [self.versions.len(), self.readings.len(), self.lines.len()] == [0; 3]
            && [self.errors.len(), self.alerts.len()] == [0; 2]
    }
}

/// How a search goes about it.
struct Search<'a> {
    person: &'a Person,
    places: &'a Places,
    /// Older rows count by their keys and by names too.
    until: Stamp,
}

impl Search<'_> {
    /// Whether the record is one that the request names, or everybody's.
    fn is_named(&self, feed: Option<&str>, key: &str) -> bool {
        let key = Key(key.to_owned()).whole().0;
        if self.person.is_everybody() {
            return feed.is_none_or(|feed| self.places.is_of_store(feed));
        }
        feed.is_some_and(|feed| {
            feed == self.places.customers && self.person.customer.as_ref() == Some(&key)
                || feed == self.places.orders && self.person.orders.contains(&key)
        })
    }

    fn counts(&self, sign: Option<Sign>, at: Stamp) -> bool {
        match sign {
            Some(Sign::Sure) => true,
            Some(Sign::Likely) => at <= self.until,
            None => false,
        }
    }

    /// Whether what is said about a record is to go.
    fn hits(&self, feed: Option<&str>, key: &str, texts: &[Option<&str>], rows: &str, at: Stamp) -> bool {
        if self.is_named(feed, key) && at <= self.until {
            return true;
        }
        if self.person.is_everybody() {
            return false;
        }
        let said = texts.iter().flatten().filter_map(|text| self.person.in_text(text));
        let said = said.chain(self.person.in_rows(rows).filter(|_| !rows.is_empty()));
        self.counts(said.max(), at)
    }
}

impl Store {
    pub(super) async fn find(&self, request: &Request, places: &Places) -> anyhow::Result<Found> {
        let person = Person::of(&request.asked);
        let search = Search {
            person: &person,
            places,
            until: request.at.saturating_add(ON_ITS_WAY_MS),
        };
        let mut found = Found::default();
        self.find_versions(&search, &mut found).await?;
        self.find_readings(&search, &mut found).await?;
        self.find_lines(&search, &mut found).await?;
        self.find_texts(&search, &mut found).await?;
        Ok(found)
    }

    async fn find_versions(&self, search: &Search<'_>, found: &mut Found) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT id, flow, key, body, hash, reason, answer, iif(unsure, 'sending', state), discarded, batch, at, \
                 request FROM outbox WHERE id > ? \
                 ORDER BY id LIMIT ?",
            )
            .bind(after)
            .bind(PIECE)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0);
            for row in &rows {
                let (flow, key, body): (&str, &str, &str) = (row.get(1), row.get(2), row.get(3));
                let (reason, answer): (Option<&str>, Option<&str>) = (row.get(5), row.get(6));
                let request: Option<&str> = row.get(11);
                let feed = search.places.feed_of(flow);
                let is_blank = row.get::<bool, _>(8) && reason == Some(REMOVED);
                if is_blank || !search.hits(feed, key, &[reason, answer, request], body, row.get(10)) {
                    continue;
                }
                match row.get::<&str, _>(7) {
                    // A call is one of its own; many records go into one file.
                    "sending" => drop(
                        found
                            .open
                            .insert(row.get::<Option<i64>, _>(9).unwrap_or(-row.get::<i64, _>(0))),
                    ),
                    _ => found.versions.push((row.get(0), row.get(4), feed.map(str::to_owned))),
                }
            }
        }
    }

    async fn find_readings(&self, search: &Search<'_>, found: &mut Found) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT id, feed, key, parked, answer, at FROM inbox WHERE id > ? AND (answer IS NOT NULL \
                 OR parked IS NOT NULL AND parked NOT IN ('gone', ?)) ORDER BY id LIMIT ?",
            )
            .bind(after)
            .bind(REMOVED)
            .bind(PIECE)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0);
            for row in &rows {
                if search.hits(Some(row.get(1)), row.get(2), &[row.get(3), row.get(4)], "", row.get(5)) {
                    found.readings.push(row.get(0));
                }
            }
        }
    }

    async fn find_lines(&self, search: &Search<'_>, found: &mut Found) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let rows = sqlx::query("SELECT id, flow, key, detail, at FROM journal WHERE id > ? ORDER BY id LIMIT ?")
                .bind(after)
                .bind(PIECE)
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0);
            for row in &rows {
                let feed = search.places.feed_of(row.get(1));
                let key = row.get::<Option<&str>, _>(2).unwrap_or_default();
                if search.hits(feed, key, &[row.get(3)], "", row.get(4)) {
                    found.lines.push(row.get(0));
                }
            }
        }
    }

    /// Texts that belong to no single record.
    async fn find_texts(&self, search: &Search<'_>, found: &mut Found) -> anyhow::Result<()> {
        let mut connection = self.locked().await;
        let read = async {
            let errors: Vec<(String, String, Stamp)> =
                sqlx::query_as("SELECT flow, last_error, coalesce(last_error_at, 0) FROM flows WHERE last_error <> ?")
                    .bind(REMOVED)
                    .fetch_all(&mut *connection)
                    .await?;
            let memories: Vec<(String, String, String)> =
                sqlx::query_as("SELECT owner, name, value FROM memory WHERE name = ? AND value NOT IN ('', ?)")
                    .bind(super::super::HISTORY_ERROR)
                    .bind(REMOVED)
                    .fetch_all(&mut *connection)
                    .await?;
            let alerts: Vec<(String, String, Stamp)> =
                sqlx::query_as("SELECT name, told, at FROM alerts WHERE told <> ?")
                    .bind(REMOVED)
                    .fetch_all(&mut *connection)
                    .await?;
            Ok((errors, memories, alerts))
        };
        let (errors, memories, alerts) = read.await.map_err(|error: sqlx::Error| self.explain(error.into()))?;
        for (flow, error, at) in errors {
            let is_stores = search
                .places
                .feed_of(&flow)
                .is_none_or(|feed| search.places.is_of_store(feed));
            if is_stores && search.counts(search.person.in_text(&error), at) {
                found.errors.push(flow);
            }
        }
        for (owner, name, error) in memories {
            // When it was written is not told: what the person's name stands in counts as from before.
            if search.places.is_of_store(&owner) && search.person.in_text(&error).is_some() {
                found.memories.push((owner, name));
            }
        }
        for (name, told, at) in alerts {
            if !search.person.is_everybody() && search.counts(search.person.in_text(&told), at) {
                found.alerts.push(name);
            }
        }
        Ok(())
    }
}
