//! WebDAV from the outside: a request in, an answer out, and the disk looked at afterwards.

mod hostile;
mod locking;
mod properties;
mod reading;
mod writing;

use std::fs;
use std::path::PathBuf;

use actix_web::FromRequest;
use actix_web::body::to_bytes;
use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::test::TestRequest;
use futures_util::stream;
use tempfile::TempDir;

use super::*;
use crate::store::Options;
use crate::store::Store;

const START: Timestamp = Timestamp(1_790_000_000);
const READ: Rights = Rights {
    read: true,
    write: false,
};
const BOTH: Rights = Rights {
    read: true,
    write: true,
};

/// A tree with the shared folder `share`, and beside it what nobody may see: `secret.txt`, and `share2` with the same.
struct Bench {
    folder: TempDir,
    mount: Mount,
    ledger: Ledger,
    /// What the ledger is kept in.
    _records: TempDir,
    now: Timestamp,
}

struct Answer {
    status: u16,
    headers: header::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let records = tempfile::tempdir().expect("a temporary folder");
        for made in ["share", "share/sub", "share2"] {
            fs::create_dir(folder.path().join(made)).expect("a folder");
        }
        for (name, content) in [
            ("share/a.txt", "0123456789"),
            ("share/sub/b.txt", "below"),
            ("secret.txt", "TOP SECRET"),
            ("share2/secret.txt", "TOP SECRET"),
        ] {
            fs::write(folder.path().join(name), content).expect("a file");
        }
        let mount = Mount {
            tree: Tree::open(folder.path()).await.expect("a tree"),
            root: TreePath::parse("share").expect("a good path"),
            href: "/dav/1".to_owned(),
            rights: BOTH,
            also: Vec::new(),
            realm: "alice".to_owned(),
            holder: "share-1".to_owned(),
            max_upload: None,
            origins: vec!["https://cloud.example".to_owned()],
        };
        Self {
            folder,
            mount,
            ledger: Ledger::new(Store::open(records.path(), Options::default()).expect("a store")),
            _records: records,
            now: START,
        }
    }

    /// The same tree and ledger as someone else has it.
    fn as_seen_by(&self, holder: &str, root: &str, rights: Rights) -> Mount {
        Mount {
            holder: holder.to_owned(),
            root: TreePath::parse(root).expect("a good path"),
            rights,
            ..self.mount.clone()
        }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_to(&self.mount, method, path, headers, body).await
    }

    async fn send_to(&self, mount: &Mount, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let chunks = vec![Ok(Bytes::copy_from_slice(body.as_bytes()))];
        self.send_chunks(mount, method, path, headers, chunks).await
    }

    async fn send_chunks(
        &self,
        mount: &Mount,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        chunks: Vec<std::result::Result<Bytes, PayloadError>>,
    ) -> Answer {
        let mut request = TestRequest::default()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(path)
            .insert_header(("Host", "localhost:9"));
        for header in headers {
            request = request.insert_header(*header);
        }
        let request = request.to_http_request();
        let mut payload = dev::Payload::from(
            Box::pin(stream::iter(chunks)) as std::pin::Pin<Box<dyn futures_util::Stream<Item = _>>>
        );
        let payload = Payload::from_request(&request, &mut payload).await.expect("a payload");
        let response = serve(mount, &self.ledger, &request, payload, self.now).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body()).await;
        Answer {
            status,
            headers,
            body: String::from_utf8_lossy(&body.unwrap_or_else(|_| panic!("the body breaks off"))).into_owned(),
        }
    }

    fn on_disk(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(name)).ok()
    }

    /// Every path and content outside the share.
    fn outside(&self) -> Vec<(PathBuf, Option<String>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path != self.folder.path().join("share") {
                    found.push((path.clone(), fs::read_to_string(&path).ok()));
                    if path.is_dir() {
                        folders.push(path);
                    }
                }
            }
        }
        found.sort();
        found
    }
}
