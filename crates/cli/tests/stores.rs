//! Object stores by their URLs: what is refused before anybody is asked, and what is never said.

#[cfg(feature = "cloud")]
#[path = "../../../tests/tests/support/raw.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with other test binaries")]
mod raw;

use std::process::{Command, Output, Stdio};

/// A command that gets nothing from the environment of the tests.
fn pagemill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pagemill"));
    for (name, _) in std::env::vars_os() {
        let ours = |whose: &&str| name.to_string_lossy().starts_with(*whose);
        if ["AWS_", "AZURE_", "GOOGLE_", "TRUTO_", "PAGEMILL_"].iter().any(ours) {
            command.env_remove(name);
        }
    }
    command.args(args).env("TRUTO_API_TOKEN", "any").stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// Each command that takes a place, with `place`.
fn commands(place: &str) -> Vec<Vec<&str>> {
    let members = "instant-messaging/members";
    vec![
        vec!["export", members, "--account", "a", "--base-url", "http://127.0.0.1:9", "--out", place],
        vec!["convert", "-", "--resource", members, "--out", place],
        vec!["demo", "--members", "1", "--out", place],
        vec!["list-files", place],
        vec!["verify", place],
        vec!["gc", place],
    ]
}

#[test]
fn what_cannot_be_a_place_is_refused_before_anybody_is_asked() {
    for (place, word) in [
        ("s3://KEY:SECRET@bucket/x", "environment"),
        ("az://c/x?sig=SECRET", "environment"),
        ("s3://", "bucket"),
        ("ftp://host/x", "s3://bucket/prefix"),
    ] {
        for command in commands(place) {
            let (code, _, error) = output(&mut pagemill(&command));
            assert_eq!(code, Some(78), "{command:?}: {error}");
            assert!(error.contains(word) && !error.contains("SECRET"), "{command:?}: {error}");
        }
    }
    let mut command = commands("out").swap_remove(0);
    command.push("--unsafe-single-writer");
    let (code, _, error) = output(&mut pagemill(&command));
    assert!(code == Some(78) && error.contains("for object stores"), "{error}");
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_command_built_without_a_store_names_the_way_out() {
    for command in commands("s3://bucket/lake") {
        let (code, _, error) = output(&mut pagemill(&command));
        assert_eq!(code, Some(78), "{command:?}: {error}");
        assert!(error.contains("s3://bucket") && error.contains("--features s3"), "{error}");
    }
}

#[cfg(feature = "cloud")]
mod secrets {
    use super::*;
    use crate::raw::{Raw, answer};

    const CANARY: &str = "canary7f3a9c2e51b8d604";

    /// What each store is told, with secrets in all places that have room for one.
    fn environments(url: &str) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
        let canary = |rest: &str| format!("{CANARY}{rest}");
        let s3 = vec![
            ("AWS_ENDPOINT", url.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", canary("id")),
            ("AWS_SECRET_ACCESS_KEY", canary("key")),
            ("AWS_SESSION_TOKEN", canary("token")),
        ];
        let azure = |more: (&'static str, String)| {
            vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", "account".to_owned()),
                ("AZURE_STORAGE_ENDPOINT", url.to_owned()),
                ("AZURE_ALLOW_HTTP", "true".to_owned()),
                more,
            ]
        };
        vec![
            ("s3://bucket/lake", s3),
            ("az://bucket/lake", azure(("AZURE_STORAGE_SAS_KEY", format!("?sv=2024-01-01&sig={CANARY}%2Bsig&se=1")))),
            ("az://bucket/lake", azure(("AZURE_STORAGE_TOKEN", canary("token")))),
            // Settings that cannot be.
            ("az://bucket/lake", azure(("AZURE_STORAGE_ACCOUNT_KEY", format!("{CANARY} is no base64!")))),
            ("gs://bucket/lake", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", format!("\"{CANARY}\""))]),
            ("gs://bucket/lake", vec![("GOOGLE_SERVICE_ACCOUNT_KEY", format!("{{\"private_key\":\"{CANARY}\"}}"))]),
            (
                "s3://bucket/lake",
                vec![
                    ("AWS_ENDPOINT", format!("http://user:{CANARY}@127.0.0.1:9")),
                    ("AWS_ACCESS_KEY_ID", "id".to_owned()),
                    ("AWS_SECRET_ACCESS_KEY", "key".to_owned()),
                ],
            ),
        ]
    }

    /// What answers a store that has been told `secrets`, and says them back in each way that stores say things.
    fn answers(secrets: &[String]) -> Vec<Vec<u8>> {
        let said = secrets.join(" and ");
        let xml = format!(
            "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message>\
             <CanonicalRequest>x-amz-security-token:{CANARY}</CanonicalRequest></Error>"
        );
        vec![
            answer("403 Forbidden", &["content-type: application/xml"], xml),
            answer("400 Bad Request", &[], format!("you sent {said}, to http://h/x?sig={CANARY}&se=1")),
            answer("401 Unauthorized", &[], &said),
            answer("301 Moved", &[&format!("location: http://127.0.0.1:9/?sig={CANARY}")], ""),
            answer("200 OK", &[], format!("<Nonsense>{said}</Nonsense>")),
            answer("404 Not Found", &[], &said),
            // For good: what is denied is asked for twice, and no more.
            answer("403 Forbidden", &[], &said),
        ]
    }

    #[test]
    fn no_secret_of_a_store_is_seen_whatever_it_answers() {
        // All at the same time, because most of it is waiting.
        let counts: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..environments("").len()).map(|at| scope.spawn(move || tell(at))).collect();
            all.into_iter().map(|one| one.join().expect("no panic")).collect()
        });
        let (runs, asked) = counts.iter().fold((0, 0), |(runs, asked), count| (runs + count.0, asked + count.1));
        assert!(runs == 42 && asked > 20, "{runs} runs, {asked} requests");
    }

    /// Runs all commands with one of the environments; gives how many, and how many requests they made.
    fn tell(at: usize) -> (usize, usize) {
        let secrets = environments("").swap_remove(at).1.into_iter().map(|(_, value)| value);
        let secrets: Vec<_> = secrets.filter(|value| value.contains(CANARY)).collect();
        let decoded: Vec<_> = secrets
            .iter()
            .filter_map(|secret| Some(secret.split_once("sig=")?.1.split_once('&')?.0))
            .flat_map(|sig| [sig.to_owned(), sig.replace("%2B", "+")])
            .collect();
        let server = Raw::start(answers(&[secrets, decoded].concat()));
        let (place, environment) = environments(&server.url()).swap_remove(at);
        let commands = commands(place);
        for command in &commands {
            let (code, out, error) = output(pagemill(command).envs(environment.clone()).env("PAGEMILL_LOG", "trace"));
            assert!(code != Some(0), "{command:?}: {error}");
            assert!(!format!("{out}{error}").contains("canary"), "{command:?} {environment:?}: {out}{error}");
        }
        (commands.len(), server.requests().len())
    }
}
