//! A browser without scripts: it keeps its cookie, fills in forms, and says what it got.

use url::form_urlencoded;

use crate::harness::PASSWORD;
use crate::harness::TestServer;
use crate::harness::http;

/// Someone at a browser, looking at one server.
pub struct Browser {
    base: String,
    cookie: Option<String>,
    token: String,
}

/// What came back.
pub struct Seen {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value)
    }

    /// Where it sends the browser on to.
    pub fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.body);
        self.header("location")
    }

    /// The text between two others, as a browser reads it.
    pub fn between(&self, before: &str, after: &str) -> String {
        let (_, rest) = self
            .body
            .split_once(before)
            .unwrap_or_else(|| panic!("no {before:?} in {}", self.body));
        let (found, _) = rest.split_once(after).unwrap();
        found
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&#60;", "<")
            .replace("&#62;", ">")
            .replace("&#38;", "&")
    }

    /// The value of the field with this id.
    pub fn field(&self, id: &str) -> String {
        self.between(&format!("id=\"{id}\" value=\""), "\"")
    }

    pub fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// Fails, showing the page, where `text` is not in it.
    pub fn expect(&self, text: &str) -> &Self {
        assert!(self.has(text), "no {text:?} in {}", self.body);
        self
    }

    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Browser {
    pub fn new(server: &TestServer) -> Self {
        Self {
            base: server.url(""),
            cookie: None,
            token: String::new(),
        }
    }

    /// A browser of somebody who has signed in.
    pub async fn signed_in(server: &TestServer, user: &str) -> Self {
        let mut browser = Self::new(server);
        browser.sign_in(user, PASSWORD).await.expect_status(303);
        browser
    }

    pub async fn sign_in(&mut self, user: &str, password: &str) -> Seen {
        self.sign_in_to("", user, password).await
    }

    pub async fn sign_in_to(&mut self, next: &str, user: &str, password: &str) -> Seen {
        let fields = [("name", user), ("password", password), ("next", next)];
        let seen = self.post("/login", &fields).await;
        self.learn_token().await;
        seen
    }

    /// Reads the token that this session's forms carry, off a page with a form.
    pub async fn learn_token(&mut self) {
        let page = self.get("/account").await;
        if page.status == 200 {
            self.token = page.between("name=\"form_token\" value=\"", "\"");
        }
    }

    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub fn set_cookie(&mut self, cookie: &str) {
        self.cookie = Some(cookie.to_owned());
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn get(&mut self, path: &str) -> Seen {
        self.send(http().get(self.url(path))).await
    }

    /// Sends a form as a page of ours would.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let mut all = vec![("form_token", self.token.clone())];
        all.extend(fields.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let origin = self.base.clone();
        self.post_from(path, &all, &[("origin", &origin)]).await
    }

    /// Sends a form with exactly these fields and headers.
    pub async fn post_from(&mut self, path: &str, fields: &[(&str, String)], headers: &[(&str, &str)]) -> Seen {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let mut request = http()
            .post(self.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// Uploads a file as a page of ours would.
    pub async fn upload(&mut self, path: &str, name: &str, content: &str) -> Seen {
        let token = self.token.clone();
        self.multipart(path, &[("form_token", None, &token), ("file", Some(name), content)])
            .await
    }

    /// Sends a form with files: names, file names and contents, in this order.
    pub async fn multipart(&mut self, path: &str, parts: &[(&str, Option<&str>, &str)]) -> Seen {
        let mut body = String::new();
        for (name, file, content) in parts {
            let file = file.map_or_else(String::new, |file| {
                format!("; filename=\"{file}\"\r\nContent-Type: text/plain")
            });
            body +=
                &format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n");
        }
        body += "--frontier--\r\n";
        let request = http()
            .post(self.url(path))
            .header("content-type", "multipart/form-data; boundary=frontier")
            .header("origin", &self.base)
            .body(body);
        self.send(request).await
    }

    fn url(&self, path: &str) -> String {
        if path.starts_with("http://") {
            return path.to_owned();
        }
        format!("{}{path}", self.base)
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Seen {
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        let headers: Vec<_> = answer
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        if let Some((_, set)) = headers.iter().find(|(name, _)| name == "set-cookie") {
            let pair = set.split(';').next().unwrap();
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        Seen {
            status: answer.status().as_u16(),
            headers,
            body: String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned(),
        }
    }
}
