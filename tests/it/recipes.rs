//! What the admins of other servers have to enter: complete, true to this server, and to be pasted as it stands.

use std::fs;
use std::process::Command;
use std::process::Stdio;

use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::PublicUrl;
use ocmesh::error::Reason;
use ocmesh::ocm::dialect;
use ocmesh::ocm::dialect::recipe;
use ocmesh::ocm::dialect::recipe::Own;
use ocmesh::ocm::dialect::recipe::Recipe;
use ocmesh::peers::settings::PeerSettings;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::web::Browser;

const PRODUCTS: [&str; 7] = [
    "nextcloud",
    "opencloud",
    "reva",
    "owncloud",
    "seafile",
    "opencloudmesh-go",
    "draft",
];
/// A name that means something in HTML, in JSON, in Python and in a shell.
const NAME: &str = "Uni \"A\" & <b>Söhne</b> \\ 'x' $(id)";

fn recipes(public_url: &str, name: &str) -> Vec<Recipe> {
    let url = PublicUrl::parse(public_url).unwrap();
    recipe::recipes(&Own {
        origin: url.origin(),
        provider: url.provider(),
        name,
        end_point: &Url::parse(&url.at("/ocm")).unwrap(),
        webdav_path: "/dav/ocm/",
    })
}

fn the<'a>(recipes: &'a [Recipe], id: &str) -> &'a Recipe {
    recipes.iter().find(|recipe| recipe.id == id).unwrap()
}

fn pastes(recipe: &Recipe) -> Vec<&str> {
    recipe.steps.iter().filter_map(|step| step.paste.as_deref()).collect()
}

/// What is to be pasted into this file.
fn pasted<'a>(recipe: &'a Recipe, file: &str) -> Vec<&'a str> {
    let steps = recipe.steps.iter().filter(|step| step.file == Some(file));
    steps.map(|step| step.paste.as_deref().unwrap()).collect()
}

#[test]
fn every_product_has_a_recipe_with_this_server_in_it_and_nothing_left_to_fill_in() {
    let recipes = recipes("https://cloud.a.example", NAME);
    let ids: Vec<_> = recipes.iter().map(|recipe| recipe.id).collect();
    assert_eq!(ids, PRODUCTS);
    for recipe in &recipes {
        assert_eq!(recipe.warnings, Vec::<String>::new(), "{}", recipe.id);
        let all = pastes(recipe).join("\n");
        assert!(all.contains("cloud.a.example"), "{}: {all}", recipe.id);
        for paste in pastes(recipe) {
            let left = ["<host>", "HOST", "YOUR", "example.org", "...", "…", "{{", "TODO"];
            assert!(!left.iter().any(|word| paste.contains(word)), "{paste}");
            assert_eq!(paste.trim(), paste);
        }
        for step in &recipe.steps {
            assert!(step.text.ends_with('.') && !step.text.contains("  "), "{}", step.text);
        }
        let last = recipe.steps.last().unwrap();
        assert!(last.text.starts_with("Here: ") && last.text.contains("Signatures: if advertised."));
        assert_eq!(last.paste, None);
    }
}

#[test]
fn the_entries_for_opencloud_and_reva_are_json_with_our_host_and_end_point() {
    let recipes = recipes("https://cloud.a.example", NAME);
    let entry = |id, file| -> Value {
        let [paste] = pasted(the(&recipes, id), file)[..] else {
            panic!("one text to paste into {file}");
        };
        serde_json::from_str(paste).unwrap()
    };
    let opencloud = entry("opencloud", "ocmproviders.json");
    let reva = entry("reva", "ocm-providers.json");
    for entry in [&opencloud, &reva] {
        assert_eq!(entry["domain"], "cloud.a.example");
        assert_eq!(entry["full_name"], NAME);
        assert_eq!(entry["homepage"], "https://cloud.a.example");
        let service = &entry["services"][0];
        assert_eq!(service["endpoint"]["type"]["name"], "OCM");
        assert_eq!(service["endpoint"]["path"], "https://cloud.a.example/ocm/");
    }
    // One splits it at the colon, the other looks it up as it stands.
    assert_eq!(opencloud["services"][0]["host"], "cloud.a.example:443");
    assert_eq!(reva["services"][0]["host"], "cloud.a.example");
    assert_eq!(reva["services"][0]["endpoint"]["is_monitored"], false);
}

#[test]
fn a_server_with_a_port_of_its_own_is_entered_with_it() {
    let recipes = recipes("https://cloud.a.example:8443", "A");
    let first = |id, file: &str| -> Value { serde_json::from_str(pasted(the(&recipes, id), file)[0]).unwrap() };
    let (opencloud, reva) = (
        first("opencloud", "ocmproviders.json"),
        first("reva", "ocm-providers.json"),
    );
    assert_eq!(opencloud["services"][0]["host"], "cloud.a.example:8443");
    assert_eq!(reva["services"][0]["host"], "cloud.a.example");
    assert_eq!(reva["domain"], "cloud.a.example:8443");
    assert_eq!(
        reva["services"][0]["endpoint"]["path"],
        "https://cloud.a.example:8443/ocm/"
    );
    assert!(pastes(the(&recipes, "opencloudmesh-go")).contains(&"cloud.a.example:8443"));
}

#[test]
fn what_is_pasted_for_seafile_is_python_whatever_this_server_is_called() {
    let recipes = recipes("https://cloud.a.example", NAME);
    let [switch, list] = pasted(the(&recipes, "seafile"), "seahub_settings.py")[..] else {
        panic!("two texts to paste");
    };
    assert_eq!(switch, "ENABLE_OCM_VIA_WEBDAV = True");
    let (variable, list) = list.split_once(" = ").unwrap();
    assert_eq!(variable, "OCM_VIA_WEBDAV_REMOTE_SERVERS");
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!(
        list,
        json!([{"server_name": NAME, "server_url": "https://cloud.a.example/"}])
    );
}

#[test]
fn no_name_of_this_server_gets_into_a_command() {
    for recipe in recipes("https://cloud.a.example", NAME) {
        for paste in pastes(&recipe) {
            let command = paste.starts_with("occ ") || paste.starts_with("curl ");
            assert!(!command || !paste.contains("$("), "{paste}");
        }
    }
}

#[test]
fn an_address_that_a_product_cannot_deal_with_is_warned_of() {
    let check = |url: &str, id: &str, expected: &[&str]| {
        let recipes = recipes(url, "A");
        let warnings = &the(&recipes, id).warnings;
        assert_eq!(warnings.len(), expected.len(), "{url} {id}: {warnings:?}");
        for (warning, word) in warnings.iter().zip(expected) {
            assert!(warning.contains(word), "{url} {id}: {warning}");
        }
    };
    check("https://192.0.2.1:8443", "opencloud", &["192.0.2.1:8443"]);
    check("https://192.0.2.1", "opencloud", &["192.0.2.1"]);
    check("https://[2001:db8::1]", "opencloud", &["[2001:db8::1]"]);
    check("https://cloud.a.example:8443", "opencloud", &["name without a port"]);
    check("https://cloud.a.example", "opencloud", &[]);
    check("https://192.0.2.1:8443", "nextcloud", &[]);
    check("http://127.0.0.1:8080", "opencloud", &["not https", "127.0.0.1:8080"]);
    for id in PRODUCTS.into_iter().filter(|id| *id != "opencloud") {
        check("http://cloud.a.example", id, &["not https"]);
    }
}

#[test]
fn every_dialect_leads_to_a_recipe_and_only_whole_words_name_one() {
    let check = |dialect: &str, expected: &str| assert_eq!(recipe::for_dialect(dialect), expected);
    let mut led: Vec<_> = dialect::ALL
        .iter()
        .map(|dialect| recipe::for_dialect(dialect.id))
        .collect();
    led.sort_unstable();
    led.dedup();
    let mut products = PRODUCTS;
    products.sort_unstable();
    assert_eq!(led, products);
    check("nextcloud-20", "nextcloud");
    check("nextcloud-35", "nextcloud");
    check("owncloud-10", "owncloud");
    check("opencloud", "opencloud");
    check("something-new", "draft");
    for id in PRODUCTS {
        assert_eq!(recipe::named(id), Some(id));
    }
    assert_eq!(recipe::named("oCIS"), Some("opencloud"));
    assert_eq!(recipe::named("CERNBox"), Some("reva"));
    // These are hosts.
    assert_eq!(recipe::named("nextcloud.example"), None);
    assert_eq!(recipe::named("owncloud.uni.example"), None);
}

async fn recipe_for(server: &TestServer, name: &str) -> Result<Value, ocmesh::error::Error> {
    let name = Some(name.to_owned());
    server.call(Call::PeerRecipe { name }).await
}

#[actix_web::test]
async fn a_recipe_is_found_for_a_product_and_for_a_server_that_is_known_and_asks_nobody() {
    let server = TestServer::start().await;
    let rogue = Rogue::start().await;
    let list = server.call(Call::PeerRecipe { name: None }).await.unwrap();
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, PRODUCTS);
    let found = recipe_for(&server, " oCIS ").await.unwrap();
    assert_eq!((&found["id"], &found["host"]), (&json!("opencloud"), &Value::Null));

    let host = rogue.provider.to_string();
    let unknown = recipe_for(&server, &host).await.unwrap_err();
    assert_eq!((unknown.reason(), unknown.field()), (Reason::NotFound, Some("name")));
    assert!(unknown.message().contains("peer refresh"), "{}", unknown.message());
    assert!(rogue.seen().is_empty());
    rogue.reply("GET", "/.well-known/ocm", reva(&host));
    server.call(Call::PeerRefresh { host: host.clone() }).await.unwrap();
    let asked = rogue.seen().len();
    let found = recipe_for(&server, &format!("http://{host}/")).await.unwrap();
    assert_eq!((&found["id"], &found["host"]), (&json!("reva"), &json!(host)));
    assert_eq!(rogue.seen().len(), asked);
    let settings = PeerSettings {
        provider: rogue.provider.clone(),
        signatures: None,
        dialect: Some("nextcloud-31".to_owned()),
        by: "a test".to_owned(),
        since: server.clock.now(),
    };
    server.site().peers.set_settings(&settings).await.unwrap();
    // What an admin said of it goes before what it says itself.
    assert_eq!(recipe_for(&server, &host).await.unwrap()["id"], "nextcloud");
    for nonsense in ["", "no host at all", "a/b"] {
        let error = recipe_for(&server, nonsense).await.unwrap_err();
        assert_eq!(
            (error.reason(), error.field()),
            (Reason::Invalid, Some("name")),
            "{nonsense}"
        );
    }
}

/// A discovery document as of reva, whose name is markup.
fn reva(host: &str) -> Reply {
    let document = json!({
        "enabled": true, "apiVersion": "1.3.0", "endPoint": format!("http://{host}/ocm"), "provider": "<i>CERNBox</i>",
        "resourceTypes": [
            {"name": "file", "shareTypes": ["user"], "protocols": {"webdav": "/remote.php/dav/ocm"}},
        ],
    });
    Reply::json(200, document)
}

#[actix_web::test]
async fn the_entries_name_what_this_server_really_serves() {
    let server = TestServer::start_with(|config| config.server.name = NAME.to_owned()).await;
    let said = http().get(server.url("/.well-known/ocm")).send().await.unwrap();
    let said: Value = serde_json::from_str(&said.text().await.unwrap()).unwrap();
    let found = recipe_for(&server, "reva").await.unwrap();
    let steps = found["steps"].as_array().unwrap();
    let paste = steps.iter().find(|step| step["file"] == "ocm-providers.json").unwrap();
    let entry: Value = serde_json::from_str(paste["paste"].as_str().unwrap()).unwrap();
    let service = &entry["services"][0];
    assert_eq!(
        service["endpoint"]["path"],
        format!("{}/", said["endPoint"].as_str().unwrap())
    );
    assert_eq!(service["api_version"], said["apiVersion"]);
    assert_eq!(entry["full_name"], said["provider"]);
    for id in PRODUCTS {
        for step in recipe_for(&server, id).await.unwrap()["steps"].as_array().unwrap() {
            let command = step["paste"]
                .as_str()
                .and_then(|paste| paste.strip_prefix("curl -fsS "));
            if let Some(url) = command {
                assert_eq!(http().get(url).send().await.unwrap().status(), 200, "{url}");
            }
        }
    }
    let draft = recipe_for(&server, "draft").await.unwrap().to_string();
    assert!(draft.contains(said["resourceTypes"][0]["protocols"]["webdav"].as_str().unwrap()));
}

#[actix_web::test]
async fn t68_the_page_shows_each_recipe_and_escapes_the_name_of_this_server() {
    let server = TestServer::start_with(|config| config.server.name = NAME.to_owned()).await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    root.get("/admin/servers").await.expect("href=\"/admin/connect\"");
    let choice = root.get("/admin/connect").await;
    choice.expect_status(200);
    assert!(!choice.has("<pre"));
    for id in PRODUCTS {
        choice.expect(&format!("href=\"/admin/connect?to={id}\""));
        let page = root.get(&format!("/admin/connect?to={id}")).await;
        page.expect(&format!("to={id}\" aria-current=\"page\""))
            .expect("class=\"paste\">");
        assert!(!page.has("<b>S") && !page.has("</b>Söhne"), "{id}");
    }
    let page = root.get("/admin/connect?to=opencloud").await;
    page.expect("notice warn");
    let entry = format!("{{{}}}", page.between("<pre class=\"paste\">{", "}</pre>"));
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert_eq!(entry["full_name"], NAME);
    let told = recipe_for(&server, "opencloud").await.unwrap();
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["paste"] == format!("{entry:#}")));
}

#[actix_web::test]
async fn the_page_takes_a_server_that_is_known_and_says_what_is_not() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let rogue = Rogue::start().await;
    let host = rogue.provider.to_string();
    let mut root = Browser::signed_in(&server, "root").await;
    let to = format!("/admin/connect?to={host}");
    let missing = root.get(&to).await;
    missing.expect_status(404).expect("href=\"#to\"");
    assert_eq!(missing.between("name=\"to\" value=\"", "\""), host);
    root.get("/admin/connect?to=%3Cscript%3E")
        .await
        .expect_status(400)
        .expect("value=\"&#60;script&#62;\"");
    assert!(
        !root
            .get(&format!("/admin/servers/{host}"))
            .await
            .has("/admin/connect?to")
    );
    rogue.reply("GET", "/.well-known/ocm", reva(&host));
    root.post(&format!("/admin/servers/{host}/refresh"), &[])
        .await
        .expect_status(303);
    let link = root
        .get(&format!("/admin/servers/{host}"))
        .await
        .between("/admin/connect?to=", "\"");
    root.get(&format!("/admin/connect?to={link}"))
        .await
        .expect_status(200)
        .expect("<code>ocm-providers.json</code>")
        .expect(&format!("href=\"/admin/servers/{host}\""));
}

#[test]
fn the_command_prints_what_is_to_be_pasted_on_lines_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("ocm.toml");
    fs::write(
        &config,
        "[server]\npublic_url = \"https://cloud.a.example\"\nname = \"Uni <A>\"\ndata_dir = \"data\"\n",
    )
    .unwrap();
    assert!(Config::load(Some(&config)).is_ok());
    let ocmesh = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
            .args(arguments)
            .env("OCM_CONFIG", &config)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            complaint,
        )
    };
    assert_eq!(ocmesh(&["user", "add", "ada"]).0, Some(0));
    let run = |arguments: &[&str]| ocmesh(&[&["peer", "recipe"], arguments].concat());
    let (code, list, _) = run(&[]);
    assert_eq!(code, Some(0));
    assert!(
        PRODUCTS.iter().all(|id| list.lines().any(|line| line.starts_with(id))),
        "{list}"
    );

    let (code, text, _) = run(&["opencloud"]);
    assert_eq!(code, Some(0));
    let began = text.lines().position(|line| line == "{").unwrap();
    let ended = text.lines().position(|line| line == "}").unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[began - 1], lines[ended + 1]), ("", ""));
    assert!(lines[began - 2].ends_with("In ocmproviders.json:"), "{text}");
    let entry: Value = serde_json::from_str(&lines[began..=ended].join("\n")).unwrap();
    assert_eq!(entry["full_name"], "Uni <A>");

    let (code, told, _) = run(&["opencloud", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["warnings"]), (Some(0), &json!([])));
    let paste = told["steps"][2]["paste"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(paste).unwrap(), entry);

    let (code, _, complaint) = run(&["cloud.b.example"]);
    assert_eq!(code, Some(3));
    assert!(complaint.contains("cloud.b.example is no product"), "{complaint}");
}
