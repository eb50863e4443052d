//! The name of a public server, as somebody types it.

use crate::config::PublicUrl;

/// What `ocmesh serve DOMAIN` may be told: a name and nothing around it.
///
/// # Errors
///
/// Why it can be none, and what may have been meant.
pub fn parse(text: &str) -> Result<String, String> {
    let meant = bare(text);
    if meant != text {
        return Err(format!("only the name is wanted; did you mean {meant}?"));
    }
    if let Some((name, port)) = text.rsplit_once(':') {
        return Err(format!(
            "a public server is on port 443; for another one say --public-url https://{name}:{port} --listen '[::]:{port}'"
        ));
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Err(
            "this is an address, and a name is wanted: certificates and OCM addresses are for names".to_owned(),
        );
    }
    if !text.contains('.') {
        return Err(format!(
            "a public name has a dot in it, such as {text}.example.org; without DOMAIN, the server is for this machine only"
        ));
    }
    let label = |label: &str| {
        let ends = label.starts_with('-') || label.ends_with('-');
        let known = label.chars().all(|c| c.is_alphanumeric() || c == '-');
        !label.is_empty() && !ends && known
    };
    if !text.split('.').all(label) {
        return Err("this is no name such as cloud.example.org".to_owned());
    }
    let url = PublicUrl::parse(&format!("https://{text}"))?;
    Ok(url.provider().to_string())
}

/// Without scheme, user, path, and what else comes along from an address line.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split(['/', '?', '#']).next().unwrap_or_default();
    let text = text.rsplit('@').next().unwrap_or_default();
    text.strip_suffix(":443").unwrap_or(text).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_name_and_nothing_else() {
        let check = |text: &str, expected: Result<&str, &str>| match (parse(text), expected) {
            (Ok(name), Ok(wanted)) => assert_eq!(name, wanted, "{text}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
            (other, _) => panic!("{text}: {other:?}"),
        };
        check("cloud.example.org", Ok("cloud.example.org"));
        check("Cloud.Example.org", Ok("cloud.example.org"));
        check("wölke.example.org", Ok("xn--wlke-5qa.example.org"));
        for wrong in [
            "https://cloud.example.org",
            "https://cloud.example.org/",
            "cloud.example.org/login?next=x",
            "ada@cloud.example.org",
            "cloud.example.org:443",
            "cloud.example.org.",
            " cloud.example.org",
        ] {
            check(wrong, Err("did you mean cloud.example.org?"));
        }
        check(
            "cloud.example.org:8443",
            Err("--public-url https://cloud.example.org:8443"),
        );
        check("203.0.113.7", Err("address"));
        check("2001:db8::1", Err(""));
        check("localhost", Err("a dot"));
        check("", Err("a dot"));
        check("cloud..example", Err("no name"));
        check("-a.example", Err("no name"));
        check("a b.example", Err("no name"));
        check("*.example.org", Err("no name"));
    }
}
