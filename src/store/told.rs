//! Which alerts were told to whom: news, reminders and what is over, each until it is noted as told. An alert that
//! nobody took is told again; none is ever noted before it was taken.

use std::time::Duration;

use contract::Stamp;

use super::Store;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    New,
    Again,
    Over,
}

/// An alert that a channel is yet to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    pub turn: Turn,
    pub name: String,
    pub since: Stamp,
    /// Empty where it is over.
    pub told: String,
}

/// What the state tells of how things go, for the alerts that nobody else raises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Records that wait for a person, without those that were discarded.
    pub parked: u64,
    /// Since when the longest waiting record is due: to be read, or to be delivered.
    pub oldest: Option<Stamp>,
}

impl Store {
    /// What a channel is to be told now, the oldest first. What stands is told again after `again`; zero: never.
    pub async fn untold(&self, channel: &str, again: Duration) -> anyhow::Result<Vec<Untold>> {
        let again_ms = i64::try_from(again.as_millis()).unwrap_or(i64::MAX);
        let told_before = match again_ms {
            0 => Stamp::MIN,
            again_ms => self.now().saturating_sub(again_ms),
        };
        let rows: Vec<(i64, String, Stamp, String)> = sqlx::query_as(
            "SELECT CASE WHEN t.since = a.since THEN 1 ELSE 0 END, a.name, a.since, a.told \
             FROM alerts a LEFT JOIN told t ON t.channel = ?1 AND t.name = a.name \
             WHERE t.name IS NULL OR t.since <> a.since OR t.at <= ?2 \
             UNION ALL \
             SELECT 2, t.name, t.since, '' FROM told t \
             WHERE t.channel = ?1 AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.name = t.name) \
             ORDER BY 3, 2",
        )
        .bind(channel)
        .bind(told_before)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let untold = |(turn, name, since, told)| {
            let turn = match turn {
                0 => Turn::New,
                1 => Turn::Again,
                _ => Turn::Over,
            };
            Untold {
                turn,
                name,
                since,
                told,
            }
        };
        Ok(rows.into_iter().map(untold).collect())
    }

    /// A channel took it.
    pub async fn took(&self, channel: &str, untold: &Untold) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let query = match untold.turn {
            Turn::Over => sqlx::query("DELETE FROM told WHERE channel = ?1 AND name = ?2 AND since = ?3"),
            Turn::New | Turn::Again => sqlx::query(
                "INSERT INTO told (channel, name, since, at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET since = ?3, at = ?4",
            ),
        };
        let bound = query.bind(channel).bind(&untold.name).bind(untold.since);
        let bound = match untold.turn {
            Turn::Over => bound,
            Turn::New | Turn::Again => bound.bind(self.now()),
        };
        bound
            .execute(&mut *connection)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    pub async fn standing(&self) -> anyhow::Result<Standing> {
        let now = self.now();
        let (parked, oldest): (i64, Option<Stamp>) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM failures), (SELECT min(at) FROM (\
             SELECT since AS at FROM inbox WHERE parked IS NULL AND due_at <= ?1 \
             UNION ALL SELECT at FROM outbox WHERE state <> 'parked'))",
        )
        .bind(now)
        .fetch_one(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(Standing {
            parked: u64::try_from(parked)?,
            oldest,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use contract::RealClock;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn a22_an_alert_is_told_once_to_each_and_its_end_too_across_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let open = || Store::open(&path, Arc::new(RealClock::default()));
        let store = open().await.unwrap();
        store.raise("door", "it is open").await.unwrap();
        let untold = store.untold("ops", DAY).await.unwrap();
        assert_eq!((untold.len(), untold[0].turn), (1, Turn::New));
        store.took("ops", &untold[0]).await.unwrap();
        store.close().await.unwrap();
        let store = open().await.unwrap();
        assert_eq!(store.untold("ops", DAY).await.unwrap(), []);
        assert_eq!(
            store.untold("boss", DAY).await.unwrap().len(),
            1,
            "who was not told yet"
        );
        // A reminder is due once the time is over; with zero, never.
        std::thread::sleep(Duration::from_millis(2));
        let due = store.untold("ops", Duration::from_millis(1)).await.unwrap();
        assert_eq!((due.len(), due[0].turn), (1, Turn::Again));
        assert_eq!(store.untold("ops", Duration::ZERO).await.unwrap(), []);
        store.calm("door").await.unwrap();
        let over = store.untold("ops", DAY).await.unwrap();
        assert_eq!((over.len(), over[0].turn), (1, Turn::Over));
        store.took("ops", &over[0]).await.unwrap();
        assert_eq!(store.untold("ops", DAY).await.unwrap(), []);
        assert_eq!(
            store.untold("boss", DAY).await.unwrap(),
            [],
            "what nobody heard of has no end"
        );
    }
}
