//! An installation on a system whose programs are made up: what they are asked to do, in which order, and what is said.

use std::cell::RefCell;
use std::rc::Rc;

use tempfile::TempDir;

use super::files::Tls;
use super::system::Said;
use super::*;

const NEW: &[u8] = b"a newer binary";

/// A system below a folder, and everything its programs were asked.
struct Machine {
    dir: TempDir,
    asked: Rc<RefCell<Vec<String>>>,
    /// The beginnings of what its programs are not content with.
    refused: Rc<RefCell<Vec<&'static str>>>,
}

impl Machine {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            asked: Rc::default(),
            refused: Rc::new(RefCell::new(vec!["getent", "systemctl is-active"])),
        }
    }

    fn system(&self) -> System {
        let asked = Rc::clone(&self.asked);
        let refused = Rc::clone(&self.refused);
        let run = move |program: &str, arguments: &[&str]| {
            let line = format!("{program} {}", arguments.join(" "));
            let well = !refused.borrow().iter().any(|start| line.starts_with(start));
            let text = match () {
                () if !well => "it said no",
                () if line.ends_with("status --json") => "{\"certificate\": {\"sentence\": \"none yet\"}}",
                () if line.ends_with("setup-link") => "https://cloud.example.org/setup?code=CODE\n",
                () => "",
            };
            asked.borrow_mut().push(line);
            Said {
                well,
                text: text.to_owned(),
            }
        };
        System::with(self.dir.path().to_owned(), Some(Box::new(run)))
    }

    /// What was asked since the last time.
    fn asked(&self) -> String {
        self.asked.take().join("\n")
    }

    fn install(&self, domain: Option<&str>, binary: &[u8]) -> Result<(String, String)> {
        let wishes = Wishes {
            domain: domain.map(str::to_owned),
            tls: None,
            agree_tos: true,
            acme_email: None,
        };
        let mut said = Vec::new();
        let end = install::install(&self.system(), &wishes, binary, &mut |step| said.push(step.to_owned()))?;
        Ok((said.join("\n"), end))
    }

    fn uninstall(&self, purge: bool) -> Result<String> {
        let mut said = Vec::new();
        uninstall::uninstall(&self.system(), purge, &mut |step| said.push(step.to_owned()))?;
        Ok(said.join("\n"))
    }

    fn put(&self, path: &str, text: &str) {
        self.system().put(path, text.as_bytes(), 0o644).unwrap();
    }
}

#[test]
fn an_installation_goes_from_the_binary_to_the_setup_link() {
    let machine = Machine::new();
    let (said, end) = machine.install(Some("cloud.example.org"), b"binary").unwrap();
    let steps: Vec<_> = said
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(steps, ["Binary", "User", "Unit", "Settings", "Start", "Ready"]);
    let asked = machine.asked();
    let orders = [
        "getent passwd ocm",
        "systemd-sysusers /etc/sysusers.d/ocmesh.conf",
        "systemctl daemon-reload",
        "systemctl enable --quiet ocmesh.service",
        "systemctl is-active --quiet ocmesh.service",
        "systemctl reset-failed ocmesh.service",
        "systemctl start ocmesh.service",
        "/usr/local/bin/ocmesh --config /etc/ocm/ocm.toml status --ready",
        "/usr/local/bin/ocmesh --config /etc/ocm/ocm.toml status --json",
        "/usr/local/bin/ocmesh --config /etc/ocm/ocm.toml setup-link",
    ];
    assert_eq!(asked.lines().collect::<Vec<_>>(), orders);
    assert!(end.contains("Address      https://cloud.example.org"), "{end}");
    assert!(end.contains("\nCertificate  none yet\n"), "{end}");
    assert!(
        end.contains("Set up       https://cloud.example.org/setup?code=CODE"),
        "{end}"
    );
    assert_eq!(machine.system().read(files::BINARY).unwrap().unwrap(), "binary");
}

#[test]
fn a_second_installation_upgrades_and_restarts_only_for_something_new() {
    let machine = Machine::new();
    machine.install(Some("cloud.example.org"), b"binary").unwrap();
    machine.refused.borrow_mut().clear();
    machine.asked();

    let (said, _) = machine.install(Some("cloud.example.org"), b"binary").unwrap();
    assert!(
        said.contains("/usr/local/bin/ocmesh, unchanged") && said.contains("yours, kept"),
        "{said}"
    );
    let asked = machine.asked();
    assert!(
        !asked.contains("restart") && !asked.contains("start ocmesh") && !asked.contains("sysusers"),
        "{asked}"
    );

    assert!(said.contains("systemctl reload ocmesh"), "{said}");

    let (said, _) = machine.install(None, NEW).unwrap();
    assert!(said.contains("/usr/local/bin/ocmesh, replaced"), "{said}");
    assert!(machine.asked().contains("systemctl restart ocmesh.service"));
}

#[test]
fn settings_of_somebody_are_never_changed() {
    let machine = Machine::new();
    let own = "[server]\npublic_url = \"https://old.example.org\"\n";
    machine.put(files::SETTINGS, own);
    let error = machine.install(Some("new.example.org"), NEW).unwrap_err();
    assert!(error.message().contains("https://old.example.org"), "{error}");
    assert!(
        !machine.system().has(files::BINARY),
        "something was done before it was refused"
    );
    machine.put(files::SETTINGS, "[server]\npublic_ulr = \"x\"\n");
    let error = machine.install(None, NEW).unwrap_err();
    assert!(error.message().contains("ocm.toml:2"), "{error}");

    machine.put(files::SETTINGS, own);
    machine.install(Some("old.example.org"), NEW).unwrap();
    assert_eq!(machine.system().read(files::SETTINGS).unwrap().unwrap(), own);
}

#[test]
fn an_option_that_would_change_nothing_is_refused() {
    let machine = Machine::new();
    machine.install(Some("cloud.example.org"), b"binary").unwrap();
    let check = |wishes: Wishes, part: &str| {
        let error = install::install(&machine.system(), &wishes, NEW, &mut |_| ()).unwrap_err();
        assert_eq!(error.reason(), Reason::Conflict);
        let said = error.message();
        assert!(
            said.contains(part) && said.contains("systemctl restart ocmesh"),
            "{said}"
        );
        assert_eq!(machine.system().read(files::BINARY).unwrap().unwrap(), "binary");
    };
    let none = Wishes::default;
    let tls = Some(Tls::Proxy);
    check(Wishes { tls, ..none() }, "tls.mode is \"acme\", and not \"proxy\"");
    let acme_email = Some("a@b.example".to_owned());
    check(Wishes { acme_email, ..none() }, "tls.acme_email");
    let settings = machine.system().read(files::SETTINGS).unwrap().unwrap();
    machine.put(files::SETTINGS, &settings.replace("acme_agree_tos = true", ""));
    let agree_tos = true;
    check(Wishes { agree_tos, ..none() }, "tls.acme_agree_tos");
}

#[test]
fn who_removes_all_reads_what_becomes_of_the_backups() {
    let machine = Machine::new();
    machine.install(Some("cloud.example.org"), NEW).unwrap();
    let lost = uninstall::lost(&machine.system());
    assert!(lost.contains("so will the backups in /var/lib/ocm"), "{lost}");
    let settings = machine.system().read(files::SETTINGS).unwrap().unwrap();
    machine.put(
        files::SETTINGS,
        &format!("{settings}[backup]\ndir = \"/mnt/backups\"\n"),
    );
    let lost = uninstall::lost(&machine.system());
    assert!(lost.contains("The backups in /mnt/backups stay."), "{lost}");
    let said = machine.uninstall(true).unwrap();
    assert!(said.contains("Backups      /mnt/backups, kept"), "{said}");
}

#[test]
fn what_a_package_has_brought_stays_its_own() {
    let machine = Machine::new();
    machine.put(files::PACKAGED_UNITS[0], "[Unit]\n");
    machine.put(files::SETTINGS, &files::settings(&Wishes::default()).unwrap());
    let (said, _) = machine.install(Some("cloud.example.org"), NEW).unwrap();
    assert!(said.contains("of the package, stays"), "{said}");
    assert!(!machine.system().has(files::BINARY) && !machine.system().has(files::UNIT));
    let settings = machine.system().read(files::SETTINGS).unwrap().unwrap();
    assert!(settings.contains("https://cloud.example.org"), "{settings}");
    assert!(
        machine
            .asked()
            .contains("/usr/bin/ocmesh --config /etc/ocm/ocm.toml status --ready")
    );
    let error = machine.uninstall(true).unwrap_err();
    assert!(error.message().contains("apt remove ocmesh"), "{error}");
    assert!(machine.system().has(files::SETTINGS));
}

#[test]
fn a_step_that_fails_says_what_it_was_and_what_to_do() {
    let check = |refused, remedy: &str| {
        let machine = Machine::new();
        machine.refused.borrow_mut().push(refused);
        let error = machine.install(Some("cloud.example.org"), NEW).unwrap_err();
        let said = error.message();
        assert!(
            said.contains(refused) && said.contains("it said no") && said.contains(remedy),
            "{said}"
        );
    };
    check("systemd-sysusers", "useradd --system");
    check("systemctl daemon-reload", "journalctl -u ocmesh");
    check("systemctl start", "journalctl -u ocmesh");
}

#[test]
fn taking_it_away_keeps_the_data_unless_told_otherwise() {
    let machine = Machine::new();
    machine.install(Some("cloud.example.org"), NEW).unwrap();
    machine.put("/var/lib/ocm/db/conf", "data");
    machine.asked();
    let said = machine.uninstall(false).unwrap();
    assert!(said.contains("/var/lib/ocm, kept"), "{said}");
    assert!(
        machine
            .asked()
            .contains("systemctl disable --now --quiet ocmesh.service")
    );
    for gone in [files::BINARY, files::UNIT, files::USER] {
        assert!(!machine.system().has(gone), "{gone}");
    }
    assert!(machine.system().has("/var/lib/ocm/db/conf") && machine.system().has(files::SETTINGS));
    let error = machine.uninstall(false).unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);

    machine.refused.borrow_mut().clear();
    machine.uninstall(true).unwrap();
    assert!(!machine.system().has(files::DATA) && !machine.system().has("/etc/ocm"));
    assert!(machine.asked().contains("userdel ocm"));
}

#[test]
fn data_in_another_place_is_named_and_never_removed() {
    let machine = Machine::new();
    let elsewhere = machine.dir.path().join("srv/people");
    std::fs::create_dir_all(&elsewhere).unwrap();
    machine.put(
        files::SETTINGS,
        &format!("[server]\ndata_dir = \"{}\"\n", elsewhere.display()),
    );
    machine.install(None, NEW).unwrap();
    let said = machine.uninstall(true).unwrap();
    assert!(said.contains(&format!("{}, kept", elsewhere.display())), "{said}");
    assert!(elsewhere.is_dir());
}

#[test]
fn a_link_in_place_of_the_data_is_removed_and_what_it_leads_to_stays() {
    let machine = Machine::new();
    let elsewhere = machine.dir.path().join("precious");
    std::fs::create_dir_all(&elsewhere).unwrap();
    machine.install(None, NEW).unwrap();
    std::fs::create_dir_all(machine.system().at("/var/lib")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, machine.system().at(files::DATA)).unwrap();
    machine.uninstall(true).unwrap();
    assert!(!machine.system().has(files::DATA) && elsewhere.is_dir());
}

#[test]
fn what_systemd_says_becomes_a_sentence() {
    let runs = "LoadState=loaded\nUnitFileState=enabled\nActiveState=active\nSubState=running\nMainPID=77\nNRestarts=2\n\
                ActiveEnterTimestamp=Sun 2026-11-22 04:04:04 UTC\nResult=success\n";
    let (sentence, value) = told(runs).unwrap();
    assert!(
        sentence.contains("runs (process 77) since Sun 2026-11-22"),
        "{sentence}"
    );
    assert!(sentence.contains("starts at boot; restarted 2 times"), "{sentence}");
    assert_eq!((&value["running"], &value["process"]), (&json!(true), &json!(77)));
    let failed = runs.replace("=active", "=failed").replace("=success", "=exit-code");
    let (sentence, value) = told(&failed).unwrap();
    assert!(sentence.contains("is failed (running, exit-code)"), "{sentence}");
    assert_eq!(value["running"], false);
    assert_eq!(told("LoadState=not-found\n").unwrap_err().reason(), Reason::NotFound);
}
