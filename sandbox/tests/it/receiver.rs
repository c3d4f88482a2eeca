//! An endpoint for webhooks that keeps what it is sent and answers as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Post {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        line.unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let signature = sandbox::sign(secret, self.header("X-SeloraX-Timestamp"), self.body.as_bytes());
        self.header("X-SeloraX-Signature") == signature
    }
}

pub(crate) struct Receiver {
    addr: SocketAddr,
    kept: Arc<Mutex<Vec<Post>>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Answers each request with the status `answer` gives it, by its number from 0; 0 = never.
    pub(crate) async fn start(answer: impl Fn(usize) -> u16 + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (all, answer) = (Arc::clone(&kept), Arc::new(answer));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(take(stream, Arc::clone(&all), Arc::clone(&answer)));
            }
        });
        Receiver { addr, kept, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?from=test", self.addr)
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.kept.lock().unwrap().clone()
    }

    /// Waits until so many have come.
    pub(crate) async fn until(&self, count: usize) -> Vec<Post> {
        for _ in 0..500 {
            if self.posts().len() >= count {
                return self.posts();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {} of {count} webhooks came", self.posts().len());
    }
}

async fn take(
    mut stream: TcpStream,
    kept: Arc<Mutex<Vec<Post>>>,
    answer: Arc<impl Fn(usize) -> u16 + Send + Sync + 'static>,
) {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let post = Post {
            head: head.to_owned(),
            body: body.to_owned(),
        };
        if post.header("Content-Length").parse() != Ok(body.len()) {
            continue;
        }
        let status = {
            let mut kept = kept.lock().unwrap();
            kept.push(post);
            answer(kept.len() - 1)
        };
        if status == 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await.unwrap();
        return;
    }
}
