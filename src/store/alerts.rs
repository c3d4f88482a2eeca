//! Alerts: what stands in the way of data until a person does something about it. `status` shows them as long as
//! they stand, and exits with 3 for `--check`.

use contract::Stamp;

use super::Store;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub name: String,
    /// When it was raised.
    pub since: Stamp,
    /// When it was last found to be so.
    pub at: Stamp,
    /// What is wrong and what to do now.
    pub told: String,
}

impl Store {
    /// Raises an alert, or says anew what it is about; its `since` stays. Answers with whether that is news, which
    /// the caller then logs: what is told again in the same words is not.
    pub async fn raise(&self, name: &str, told: &str) -> anyhow::Result<bool> {
        let mut connection = self.writing().await?;
        let known = sqlx::query("UPDATE alerts SET at = ?3 WHERE name = ?1 AND told = ?2")
            .bind(name)
            .bind(told)
            .bind(self.now())
            .execute(&mut *connection)
            .await
            .map_err(|error| self.explain(error.into()))?;
        if known.rows_affected() > 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO alerts (name, told, since, at) VALUES (?1, ?2, ?3, ?3) \
             ON CONFLICT DO UPDATE SET told = ?2, at = ?3",
        )
        .bind(name)
        .bind(told)
        .bind(self.now())
        .execute(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(true)
    }

    /// Takes an alert back. Answers with whether it stood.
    pub async fn calm(&self, name: &str) -> anyhow::Result<bool> {
        let gone = sqlx::query("DELETE FROM alerts WHERE name = ?")
            .bind(name)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(gone.rows_affected() > 0)
    }

    /// Those that stand, the oldest first.
    pub async fn alerts(&self) -> anyhow::Result<Vec<Alert>> {
        let rows: Vec<(String, Stamp, Stamp, String)> =
            sqlx::query_as("SELECT name, since, at, told FROM alerts ORDER BY since, name")
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        let alert = |(name, since, at, told)| Alert { name, since, at, told };
        Ok(rows.into_iter().map(alert).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use contract::Clock;

    use super::*;

    /// Each look at it is a second later.
    #[derive(Debug, Default)]
    struct Ticking(AtomicI64);

    #[async_trait::async_trait]
    impl Clock for Ticking {
        fn now(&self) -> Stamp {
            self.0.fetch_add(1_000, Ordering::Relaxed) + 1_000
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep(&self, _duration: Duration) {}
    }

    #[tokio::test]
    async fn an_alert_is_news_once_keeps_when_it_began_and_goes_when_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Ticking::default());
        let store = Store::open(&folder.path().join("state.db"), clock).await.unwrap();
        assert!(!store.calm("door").await.unwrap());
        assert!(store.raise("door", "it is open").await.unwrap());
        let first = store.alerts().await.unwrap().remove(0);
        assert_eq!((first.since, first.told.as_str()), (first.at, "it is open"));
        assert!(!store.raise("door", "it is open").await.unwrap(), "said before");
        assert!(store.raise("door", "it is gone").await.unwrap(), "said otherwise");
        assert!(store.raise("bell", "it is mute").await.unwrap());
        let both = store.alerts().await.unwrap();
        assert_eq!(
            both.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
            ["door", "bell"]
        );
        assert_eq!((both[0].since, both[0].told.as_str()), (first.since, "it is gone"));
        assert!(both[0].at > first.at);
        assert!(store.calm("door").await.unwrap());
        assert_eq!(store.alerts().await.unwrap(), both[1..]);
    }
}
