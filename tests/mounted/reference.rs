//! `docs/reference/routes.md` is the table of the routes of a hub with every component.

use std::fmt::Write as _;

use rig_cli::hub::{Settings, builder, components};
use rig_hub::access::{Need, Trace};
use rig_testhub::unsealed;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/routes.md");

const HEAD: &str = "\
# Routes and who may use them

Every route of a hub with all its components, in the order in which requests are matched. A route that is
not here does not exist. The scope is asked for the stream in the address, or for all streams.
`docs/http.md` says what each does. A test writes this page: `RIG_WRITE_REFERENCE=1 cargo test -p rig --test mounted reference`.

Writes leave an audit event in the stream `_hub`: one each, or for appends and captures a sum every ten
seconds. Routes that write an event of their own (tokens, host keys) leave no other.

| method | path | scope | audit | component |
|---|---|---|---|---|
";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_every_rule_of_the_mounted_hub() {
    let components = components(&Settings::default()).unwrap();
    let hub = builder(unsealed(), components).open(None).await.unwrap();
    let mut page = HEAD.to_owned();
    for (component, rule) in hub.rules() {
        let scope = match rule.need {
            Need::Nothing => "none".to_owned(),
            Need::Scope(scope) => format!("`{}`", scope.as_str()),
            Need::Hub(scope) => format!("`{}`, all streams", scope.as_str()),
        };
        let audit = match rule.trace {
            Trace::Not => "",
            Trace::Summed => "summed",
            Trace::Each => "each",
            Trace::Own => "its own event",
        };
        writeln!(page, "| {} | `{}` | {scope} | {audit} | {component} |", rule.method, rule.path).unwrap();
    }
    // Nothing else answers everybody, and only these writes leave no audit event: a ticket opens what its token may read anyway,
    // and a code to sign in leaves the event of the token that it is redeemed for.
    let open: Vec<_> = hub.rules().iter().filter(|(_, rule)| rule.need == Need::Nothing).collect();
    let paths: Vec<_> = open.iter().map(|(_, rule)| rule.path).collect();
    let pages = [
        "/",
        "/s/{stream}",
        "/assets/{hash}/{file}",
        "/assets/{hash}/js/{file}",
        "/assets/{hash}/js/pages/{file}",
    ];
    let own = ["/healthz", "/readyz", "/openapi.json", "/v1/logins/redeem"];
    assert_eq!(paths, [&own[..], &pages].concat());
    let silent = hub.rules().iter().filter(|(_, rule)| rule.trace == Trace::Not && rule.method != "GET");
    let silent: Vec<_> = silent.map(|(_, rule)| rule.to_string()).collect();
    assert_eq!(silent, ["POST /v1/logins", "POST /v1/streams/{stream}/tickets"]);
    hub.close().await;
    if std::env::var_os("RIG_WRITE_REFERENCE").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(PAGE).unwrap(),
        page,
        "docs/reference/routes.md is not what the hub has"
    );
}
