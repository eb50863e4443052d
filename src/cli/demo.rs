//! `ocmesh demo`: two servers on this machine, Ada and Bob, and the whole story between them.

use std::net::TcpListener;
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;

use crate::api;
use crate::api::Answer;
use crate::api::Call;
use crate::app;
use crate::app::Options;
use crate::app::Running;
use crate::client::Client;
use crate::client::system_lookup;
use crate::config::Config;
use crate::config::Every;
use crate::config::Listen;
use crate::config::OwnListener;
use crate::config::PrivateNetwork;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::NewInvite;
use crate::random;
use crate::secret::Secret;
use crate::users::NewUser;

/// Where the two servers are, if nobody else is there.
const PORTS: [u16; 2] = [8471, 8472];

const FILES: [(&str, &str); 4] = [
    (
        "Analytical Engine/Note G.txt",
        "We may say most aptly that the Analytical Engine weaves algebraical patterns\n\
         just as the Jacquard loom weaves flowers and leaves.\n",
    ),
    (
        "Analytical Engine/Bernoulli numbers.csv",
        "n,B(n)\n0,1\n1,-1/2\n2,1/6\n4,-1/30\n6,1/42\n8,-1/30\n",
    ),
    (
        "Analytical Engine/Letters/To Charles.md",
        "# London, 5 July 1843\n\nMy dear Babbage, I am working very hard for you;\nlike the Devil in fact.\n",
    ),
    ("Shopping list.txt", "Punched cards\nTea\n"),
];

/// Starts both servers. With `check`, tells the story to its end and stops; else shows where to look and stays.
pub async fn run(check: bool) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("ocmesh-demo-{}", random::number()));
    std::fs::create_dir_all(&dir)?;
    let outcome = stage(&dir, check).await;
    let _ = std::fs::remove_dir_all(&dir);
    outcome
}

async fn stage(dir: &Path, check: bool) -> Result<()> {
    let ada = Actor::enter("ada", "Ada Lovelace", "Ada's server", PORTS[0], dir).await?;
    let bob = Actor::enter("bob", "Bob Babbage", "Bob's server", PORTS[1], dir).await?;
    let mut story = Story {
        steps: 0,
        loud: check,
        ada,
        bob,
    };
    let outcome = if check { story.check().await } else { story.show().await };
    let told = match &outcome {
        Ok(()) if check => Some(format!("All {} steps passed.", story.steps)),
        Err(error) => Some(format!("FAILED after step {}: {error}", story.steps)),
        Ok(()) => None,
    };
    story.ada.running.stop().await;
    story.bob.running.stop().await;
    if let Some(told) = told {
        println!("{told}");
    }
    outcome
}

/// One person and the server they live on.
struct Actor {
    name: &'static str,
    password: Secret,
    running: Running,
}

impl Actor {
    async fn enter(name: &'static str, full_name: &str, server: &str, port: u16, dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse(&format!("http://{address}")).map_err(Error::internal)?;
        config.server.listen = Listen(vec![address]);
        server.clone_into(&mut config.server.name);
        config.server.data_dir = dir.join(name);
        config.server.admin_socket = dir.join(format!("{name}.sock"));
        config.backup.dir = config.server.data_dir.join("backups");
        config.metrics.listen = OwnListener(None);
        config.backup.every = Every::OFF;
        config.federation.private_network = vec![PrivateNetwork {
            cidr: "127.0.0.0/8".parse().map_err(Error::internal)?,
            ports: Vec::new(),
            plain_http: true,
        }];
        let options = Options {
            listeners: Some(vec![listener]),
            threads: 2,
            ..Options::default()
        };
        let running = app::start(config, options).await?;
        let password = Secret::new(format!("{name}-{}", random::token(12).expose()));
        let new = NewUser {
            name: name.to_owned(),
            display_name: full_name.to_owned(),
            mail: format!("{name}@example.org"),
            password: password.clone(),
            admin: true,
        };
        running.site.users.create(new, running.site.clock.now()).await?;
        Ok(Self {
            name,
            password,
            running,
        })
    }

    fn url(&self) -> &str {
        self.running.site.config.server.public_url.origin()
    }

    fn address(&self) -> String {
        format!(
            "{}@{}",
            self.name,
            self.running.site.config.server.public_url.provider()
        )
    }

    fn user(&self) -> Option<String> {
        Some(self.name.to_owned())
    }

    async fn call(&self, call: Call) -> Result<Value> {
        match self.carry_out(call, "").await? {
            Answer::Json(value) => Ok(value),
            Answer::Content(_) => Err(Error::internal("content where JSON was expected")),
        }
    }

    async fn carry_out(&self, call: Call, content: &str) -> Result<Answer> {
        let content = Bytes::copy_from_slice(content.as_bytes());
        let by = api::socket::this_user();
        api::carry_out(&self.running.site, &by, call, Box::pin(stream::iter([Ok(content)]))).await
    }

    /// Reads a file of a received share, from the other server.
    async fn read(&self, id: &str, path: &str) -> Result<String> {
        let call = Call::ShareGet {
            id: id.to_owned(),
            path: path.to_owned(),
        };
        let Answer::Content(mut stream) = self.carry_out(call, "").await? else {
            return Err(Error::internal("JSON where content was expected"));
        };
        let mut whole = Vec::new();
        while let Some(chunk) = stream.next().await {
            whole.extend_from_slice(&chunk?);
        }
        String::from_utf8(whole).map_err(Error::internal)
    }

    /// Waits until a share is in a state; deliveries and notifications take a moment.
    async fn share_in_state(&self, received: bool, id: &str, state: &str) -> Result<Value> {
        let mut last = Value::Null;
        for _ in 0..200 {
            let call = Call::ShareList {
                user: self.user(),
                received,
            };
            let shares = self.call(call).await?;
            let found = shares
                .as_array()
                .and_then(|rows| rows.iter().find(|row| row["provider_id"] == id || row["id"] == id));
            if let Some(share) = found {
                if share["state"] == state {
                    return Ok(share.clone());
                }
                last = share.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Err(Error::internal(format!("share {id} never became {state}: {last}")).in_field(self.name))
    }
}

struct Story {
    steps: usize,
    /// Whether each step is told as it is done.
    loud: bool,
    ada: Actor,
    bob: Actor,
}

impl Story {
    fn done(&mut self, what: &str) {
        self.steps += 1;
        if self.loud {
            println!("{:2}. {what}", self.steps);
        }
    }

    /// An invite, a shared folder, one read; then it is left to whoever looks.
    async fn show(&mut self) -> Result<()> {
        self.meet().await?;
        self.fill().await?;
        let (_, received) = self.share("Analytical Engine", false).await?;
        self.bob.read(&received, "Note G.txt").await?;
        println!("Two servers are running, and their people have met:\n");
        for actor in [&self.ada, &self.bob] {
            let (name, password) = (actor.name, actor.password.expose());
            println!("  {}   sign in as {name:4} with  {password}", actor.url());
        }
        println!(
            "\nAda invited Bob, and shares the folder \"Analytical Engine\" with him; he has read one file of it.\n\
             Try: as Bob, open Shared with me. As Ada, open Files and share something else.\n\
             Ctrl-C ends both and removes everything."
        );
        Running::until_signal()?.await;
        Ok(())
    }

    /// The whole story, each step looked at from both sides.
    async fn check(&mut self) -> Result<()> {
        self.look_at_both().await?;
        self.meet().await?;
        self.fill().await?;
        self.read_only().await?;
        self.read_and_write().await?;
        self.deny().await
    }

    async fn look_at_both(&mut self) -> Result<()> {
        for actor in [&self.ada, &self.bob] {
            let client = Client::new(&actor.running.site.config, system_lookup())?;
            for path in [
                "/livez",
                "/readyz",
                "/.well-known/ocm",
                "/.well-known/jwks.json",
                "/login",
            ] {
                let url = actor.running.site.config.server.public_url.at(path);
                let answer = client.document(&url.parse().map_err(Error::internal)?).await?;
                expect(answer.status == 200, || format!("{url} answered {}", answer.status))?;
            }
        }
        self.done("Both servers answer: discovery, keys, the sign-in page.");
        Ok(())
    }

    async fn meet(&mut self) -> Result<()> {
        let call = Call::InviteCreate {
            user: self.ada.user(),
            new: NewInvite {
                note: "Bob".to_owned(),
                ..NewInvite::default()
            },
            mail: None,
        };
        let invite = self.ada.call(call).await?;
        self.done("Ada makes an invite.");
        let accept = |text: &Value| Call::InviteAccept {
            user: self.bob.user(),
            text: text.as_str().unwrap_or_default().to_owned(),
            no_mail: false,
        };
        let accepted = self.bob.call(accept(&invite["string"])).await?;
        expect(accepted["contact"]["address"] == self.ada.address(), || {
            accepted.to_string()
        })?;
        let contacts = self.ada.call(Call::ContactList { user: self.ada.user() }).await?;
        expect(contacts[0]["address"] == self.bob.address(), || contacts.to_string())?;
        self.done("Bob accepts it: a signed request; each is the other's contact now.");
        Ok(())
    }

    async fn fill(&mut self) -> Result<()> {
        for (path, content) in FILES {
            let call = Call::FilePut {
                user: self.ada.user(),
                path: path.to_owned(),
            };
            self.ada.carry_out(call, content).await?;
        }
        self.done("Ada puts a folder and a file on her server.");
        Ok(())
    }

    /// Shares something of Ada's with Bob, who accepts; gives its ids at both.
    async fn share(&mut self, path: &str, write: bool) -> Result<(String, String)> {
        let call = Call::ShareCreate {
            user: self.ada.user(),
            path: path.to_owned(),
            to: self.bob.address(),
            write,
            until: None,
        };
        let sent = text(&self.ada.call(call).await?, "id");
        let received = text(&self.bob.share_in_state(true, &sent, "pending").await?, "id");
        self.bob
            .call(Call::ShareAccept {
                user: None,
                id: received.clone(),
            })
            .await?;
        self.ada.share_in_state(false, &sent, "accepted").await?;
        Ok((sent, received))
    }

    async fn read_only(&mut self) -> Result<()> {
        let (sent, received) = self.share("Analytical Engine", false).await?;
        self.done("Ada shares the folder; it is announced, Bob accepts, Ada's server is told.");
        let call = Call::ShareLs {
            id: received.clone(),
            path: String::new(),
        };
        let listing = self.bob.call(call).await?;
        let names: Vec<_> = listing
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| text(row, "name"))
            .collect();
        let expected = ["Letters", "Bernoulli numbers.csv", "Note G.txt"];
        expect(names == expected, || listing.to_string())?;
        let note = self.bob.read(&received, "Note G.txt").await?;
        let letter = self.bob.read(&received, "Letters/To Charles.md").await?;
        expect(note == FILES[0].1 && letter == FILES[2].1, || format!("{note}{letter}"))?;
        self.done("Bob reads the folder and its files over WebDAV, with a token exchanged for the secret.");
        let put = Call::SharePut {
            id: received.clone(),
            path: "mine.txt".to_owned(),
        };
        let refused = self.bob.carry_out(put, "x").await.err().map(|error| error.reason());
        expect(refused == Some(Reason::ReadOnly), || {
            format!("writing gave {refused:?}")
        })?;
        self.done("Bob may not write into it.");
        self.ada.call(Call::ShareStop { user: None, id: sent }).await?;
        let refused = self
            .bob
            .read(&received, "Note G.txt")
            .await
            .err()
            .map(|error| error.reason());
        expect(refused == Some(Reason::ShareGone), || {
            format!("reading gave {refused:?}")
        })?;
        self.bob.share_in_state(true, &received, "gone").await?;
        self.done("Ada stops sharing: Bob's next read is refused at once, and his server knows.");
        Ok(())
    }

    async fn read_and_write(&mut self) -> Result<()> {
        let (sent, received) = self.share("Shopping list.txt", true).await?;
        expect(self.bob.read(&received, "").await? == FILES[3].1, String::new)?;
        let put = Call::SharePut {
            id: received.clone(),
            path: String::new(),
        };
        self.bob.carry_out(put, "Punched cards\nTea\nOil\n").await?;
        let (_, mut file) = self
            .ada
            .running
            .site
            .homes
            .of(self.ada.name)
            .await?
            .read(&crate::files::TreePath::parse(FILES[3].0)?)
            .await?;
        let mut content = String::new();
        std::io::Read::read_to_string(&mut file, &mut content)?;
        expect(content.ends_with("Oil\n"), || content.clone())?;
        self.done("Ada shares a single file for writing; Bob changes it, and Ada sees the change.");
        self.bob
            .call(Call::ShareLeave {
                user: None,
                id: received,
            })
            .await?;
        self.ada.share_in_state(false, &sent, "left").await?;
        self.done("Bob gives the share back, and Ada's server knows.");
        Ok(())
    }

    async fn deny(&mut self) -> Result<()> {
        let host = self.ada.running.site.config.server.public_url.provider().to_string();
        let rule = Call::PeerRule {
            host: host.clone(),
            allow: false,
            reason: "the end of the story".to_owned(),
            note: String::new(),
            until: None,
            by: "the demo".to_owned(),
        };
        self.bob.call(rule).await?;
        let explained = self.bob.call(Call::PeerExplain { host }).await?;
        expect(explained["decision"] == "denied", || explained.to_string())?;
        let call = Call::ShareCreate {
            user: self.ada.user(),
            path: FILES[3].0.to_owned(),
            to: self.bob.address(),
            write: false,
            until: None,
        };
        let sent = text(&self.ada.call(call).await?, "id");
        let share = self.ada.share_in_state(false, &sent, "refused").await?;
        expect(share["last_error"]["code"] == "they-refuse-us", || share.to_string())?;
        self.done("Bob's server denies Ada's: her next share is refused, and she is told why.");
        Ok(())
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn expect(held: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if held {
        return Ok(());
    }
    Err(Error::new(
        Reason::Internal,
        format!("not as it should be: {}", otherwise()),
    ))
}
