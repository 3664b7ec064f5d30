//! A small component, as another crate would write one: it shows all that adding a component takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use rig_event::event::Notify;
use rig_event::{Draft, Event};
use rig_hub::access::{Caller, Need, Rule, Scope, Trace};
use rig_hub::http::{Path, Query};
use rig_hub::{Component, Core, Document, Error, Options, Problem};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{TestHub, answer, unsealed};

/// The section of `hub.toml` that the component is about.
#[derive(Clone, Deserialize)]
struct Greeting {
    greeting: String,
}

/// Visitors by stream, folded from the hub's own stream.
#[derive(Clone, Default)]
struct Visits(Arc<Mutex<BTreeMap<String, u64>>>);

impl Visits {
    fn apply(&self, event: &Event) {
        if let Event::NotifyBegan(told) = event {
            *self.0.lock().unwrap().entry(told.endpoint.clone()).or_default() += 1;
        }
    }
}

/// The state of its routes.
#[derive(Clone)]
struct Greeter {
    core: Core,
    settings: Greeting,
    visits: Visits,
}

const RULES: &[Rule] =
    &[Rule::new(Method::POST, "/v1/streams/{stream}/greetings", Need::Scope(Scope::Write), Trace::Each)];

/// Greet whoever writes to a stream
#[utoipa::path(post, path = "/v1/streams/{stream}/greetings", params(("stream" = String, Path)), responses((status = 200)))]
async fn greet(
    State(greeter): State<Greeter>,
    Path(stream): Path<String>,
    caller: Caller,
    query: Query,
) -> Result<Json<Value>, Problem> {
    query.done()?;
    let stream = greeter.core.stream(&stream)?;
    let told = Notify { endpoint: stream.name.to_string(), ..Notify::default() };
    let event = Event::NotifyBegan(told);
    greeter.core.tell(Draft { actor: Some("notify".to_owned()), ..Draft::new(None, event.clone()) }).await?;
    greeter.visits.apply(&event);
    Ok(Json(json!({ "greeting": greeter.settings.greeting, "caller": caller.name() })))
}

fn component(section: &str, visits: Visits) -> Component {
    let settings: Greeting = toml::from_str(section).unwrap();
    let (recalled, counted) = (visits.clone(), visits.clone());
    Component::new("notify")
        .routes(RULES, |core| {
            let state = Greeter { core: core.clone(), settings, visits };
            OpenApiRouter::new().routes(routes!(greet)).with_state(state)
        })
        .recall(&["notify"], move |event| {
            recalled.apply(&event.event);
            Ok(())
        })
        .task(|core| async move {
            let main = core.stream("main").unwrap();
            let document = Document::new("greeter".parse().unwrap(), b"{\"a\":1}".to_vec());
            core.capture(&main, document).await.unwrap();
            core.stopping().await;
        })
        .metrics(move |_, text| {
            let visits = counted.0.lock().unwrap().values().sum();
            text.family("rig_visits_total", "counter", "Visits.", &[(String::new(), visits)]);
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_brings_routes_rules_a_fold_a_task_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(folder.path().to_owned()), ..unsealed() };
    let start =
        async || TestHub::mounted(options(), vec![component("greeting = 'hello'", Visits::default())]).await;
    for visits in 1..=2 {
        let hub = start().await;
        let (status, greeted) = answer(hub.client.post(hub.stream("greetings"))).await;
        assert_eq!((status, &greeted["greeting"]), (200, &json!("hello")));
        // What it kept before the restart is folded before its first request.
        let metrics = hub.metrics().await;
        assert!(metrics.contains(&format!("\nrig_visits_total {visits}\n")), "{metrics}");
        let (_, api) = answer(hub.client.get(format!("{}/openapi.json", hub.url))).await;
        assert!(api["paths"]["/v1/streams/{stream}/greetings"]["post"]["responses"]["403"].is_object());
        // Its task captures at each start.
        crate::Told::by(&hub, "main").await.next("snapshot.captured").await;
        // The rule says that it is audited, one by one.
        assert!(hub.own_lines().await.contains("POST /v1/streams/{stream}/greetings"));
        let (status, problem) = answer(hub.client.get(hub.stream("greetings"))).await;
        assert_eq!((status, &problem["code"]), (405, &json!("method-not-allowed")));
        hub.stop().await;
    }
    // Where it is not mounted its events stay as they are, and its routes are not there.
    let hub = TestHub::with(options()).await;
    assert_eq!(answer(hub.client.post(hub.stream("greetings"))).await.0, 404);
    assert_eq!(hub.own_lines().await.matches("notify.began").count(), 2);
    hub.stop().await;
}

/// Opens a hub with these components, and returns why it does not open.
async fn refused(components: Vec<Component>) -> String {
    let built = components.into_iter().fold(rig_testhub::builder(unsealed()), rig_hub::Builder::mount);
    match built.open(None).await {
        Err(Error::Component { name, why }) => format!("{name}: {why}"),
        Err(other) => other.to_string(),
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_does_not_fit_is_refused_before_anything_is_answered() {
    const WRONG: &[Rule] =
        &[Rule::new(Method::GET, "/v1/streams/{stream}/greetings", Need::Nothing, Trace::Not)];
    const TAKEN: &[Rule] =
        &[Rule::new(Method::GET, "/v1/streams/{name}", Need::Scope(Scope::Read), Trace::Not)];
    let greeter = || component("greeting = ''", Visits::default());
    for (components, word) in [
        (vec![Component::new("greeter")], "not reserved"),
        (vec![greeter(), greeter()], "overlap"),
        (vec![Component::new("ssh"), Component::new("ssh")], "mounted twice"),
        (vec![Component::new("ssh").routes(WRONG, |_| OpenApiRouter::new())], "has no route"),
        (
            vec![Component::new("ssh").routes(&[], |core| {
                let state = Greeter {
                    core: core.clone(),
                    settings: Greeting { greeting: String::new() },
                    visits: Visits::default(),
                };
                OpenApiRouter::new().routes(routes!(greet)).with_state(state)
            })],
            "has no rule",
        ),
        (vec![Component::new("ssh").routes(TAKEN, |_| OpenApiRouter::new())], "overlap"),
        (vec![greeter(), Component::new("ssh").recall(&["notify"], |_| Ok(()))], "two components keep"),
        (vec![Component::new("ssh").recall(&["audit.token"], |_| Ok(()))], "two components keep"),
        (
            vec![Component::new("ssh").metrics(|_, text| text.family("rig_head_seq", "gauge", "Seq.", &[]))],
            "rig_head_seq",
        ),
    ] {
        let why = refused(components).await;
        assert!(why.contains(word), "{why} should say {word}");
    }
}
