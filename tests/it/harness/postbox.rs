//! A mail server that a test can look into: it takes what it is given, or says no where it is told to.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

/// Speaks as much SMTP (RFC 5321) as a client needs, on a loopback port and in the clear.
pub struct Postbox {
    pub port: u16,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// Answers by the first word of a command, in place of the usual ones.
    answers: Vec<(&'static str, &'static str)>,
    /// All that clients said, line by line.
    heard: Vec<String>,
}

impl Postbox {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<Script>> = Arc::default();
        let shared = Arc::clone(&script);
        // It ends with the process: nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(&stream, &shared);
            }
        });
        Self { port, script }
    }

    /// From now on, this is what it says to a command.
    pub fn answers(&self, command: &'static str, answer: &'static str) {
        self.script.lock().unwrap().answers.insert(0, (command, answer));
    }

    /// All that was said to it, in the order of time.
    pub fn heard(&self) -> Vec<String> {
        self.script.lock().unwrap().heard.clone()
    }

    /// How many commands began with this word.
    pub fn count(&self, command: &str) -> usize {
        self.heard().iter().filter(|line| line.starts_with(command)).count()
    }
}

fn serve(stream: &TcpStream, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut out = stream;
    write!(out, "220 postbox.example\r\n")?;
    let mut in_data = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        script.lock().unwrap().heard.push(line.clone());
        let command = match line.split(' ').next().unwrap_or_default() {
            "." if in_data => "END",
            _ if in_data => continue,
            word => word,
        };
        let scripted = {
            let script = script.lock().unwrap();
            script
                .answers
                .iter()
                .find(|(named, _)| *named == command)
                .map(|(_, answer)| *answer)
        };
        let answer = scripted.unwrap_or(match command {
            "EHLO" => "250-postbox.example\r\n250 AUTH PLAIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "END" => "250 queued as canary-42",
            "QUIT" => "221 bye",
            _ => "250 ok",
        });
        in_data = command == "DATA" && answer.starts_with("354");
        write!(out, "{answer}\r\n")?;
        if command == "QUIT" {
            break;
        }
    }
    Ok(())
}
