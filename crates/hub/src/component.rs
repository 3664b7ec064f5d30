//! `Component`: what a crate adds to a hub, as one value; and the checks that its routes and rules match.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use rig_event::event::RESERVED_ACTORS;
use rig_event::{Envelope, Head};
use rig_recorder::BoxFuture;
use utoipa_axum::router::OpenApiRouter;

use crate::access::{Rule, Table};
use crate::core::Core;
use crate::error::Error;
use crate::metrics::Exposition;
use crate::options::READ_BYTES;
use crate::streams::Stream;

/// A part of a hub that is built by its own crate, mounted by the program.
///
/// A component consists of closures, and a hub cannot be asked for one: no component reaches another through the hub.
pub struct Component {
    name: &'static str,
    rules: &'static [Rule],
    routes: Option<Routes>,
    recalls: Vec<Recall>,
    tasks: Vec<Task>,
    metrics: Vec<Metrics>,
}

type Routes = Box<dyn FnOnce(&Core) -> OpenApiRouter + Send>;
type Task = Box<dyn FnOnce(Core) -> BoxFuture<'static, ()> + Send>;
type Fold = Box<dyn FnMut(&Envelope) -> Result<(), String> + Send>;

/// Writes the metrics of a component.
pub(crate) type Metrics = Arc<dyn Fn(&Core, &mut Exposition) + Send + Sync>;

/// Event families of the hub's own stream, and the function that folds them.
pub(crate) struct Recall {
    pub(crate) families: &'static [&'static str],
    pub(crate) fold: Fold,
}

impl Component {
    /// Creates a component that adds nothing yet. `name` is the actor of its events. The hub does not open unless it is one of
    /// [`RESERVED_ACTORS`](rig_event::event::RESERVED_ACTORS), which no token may have.
    pub fn new(name: &'static str) -> Component {
        Component {
            name,
            rules: &[],
            routes: None,
            recalls: Vec::new(),
            tasks: Vec::new(),
            metrics: Vec::new(),
        }
    }

    /// Adds routes and their access rules. The hub does not open if a route has no rule, a rule no route, or two rules overlap.
    pub fn routes(
        mut self,
        rules: &'static [Rule],
        routes: impl FnOnce(&Core) -> OpenApiRouter + Send + 'static,
    ) -> Self {
        self.rules = rules;
        self.routes = Some(Box::new(routes));
        self
    }

    /// Adds event families of the hub's own stream in which the component stores its state: a whole family, or a part of one such
    /// as `audit.token`. `fold` is called once per event, in order, before any task starts. The hub does not open if a family has
    /// two owners, or if `fold` fails.
    pub fn recall(
        mut self,
        families: &'static [&'static str],
        fold: impl FnMut(&Envelope) -> Result<(), String> + Send + 'static,
    ) -> Self {
        self.recalls.push(Recall { families, fold: Box::new(fold) });
        self
    }

    /// Adds a task that starts once the hub listens. It must end by itself once [`Core::stopping`] is ready; it is aborted at the end of
    /// the shutdown deadline.
    pub fn task<F: Future<Output = ()> + Send + 'static>(
        mut self,
        run: impl FnOnce(Core) -> F + Send + 'static,
    ) -> Self {
        self.tasks.push(Box::new(move |core| Box::pin(run(core))));
        self
    }

    /// Adds metrics. The hub does not open if there is already a family of that name.
    pub fn metrics(mut self, write: impl Fn(&Core, &mut Exposition) + Send + Sync + 'static) -> Self {
        self.metrics.push(Arc::new(write));
        self
    }

    /// Returns its rules.
    pub(crate) fn rules(&self) -> &'static [Rule] {
        self.rules
    }
}

/// Everything that the components of a hub add to it.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) routers: Vec<OpenApiRouter>,
    pub(crate) recalls: Vec<Recall>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) metrics: Vec<Metrics>,
}

impl Mounted {
    /// Takes components apart, and checks that the routes of each match its rules.
    ///
    /// # Errors
    /// [`Error::Component`].
    pub(crate) fn new(components: Vec<Component>, core: &Core) -> Result<Mounted, Error> {
        let mut mounted = Mounted::default();
        let mut names = BTreeSet::new();
        for component in components {
            let Component { name, rules, routes, recalls, tasks, metrics } = component;
            let refuse = |why: String| Error::Component { name, why };
            if !RESERVED_ACTORS.contains(&name) {
                return Err(refuse("its name is not reserved: a token could have it".to_owned()));
            }
            if !names.insert(name) {
                return Err(refuse("it is mounted twice".to_owned()));
            }
            let router = routes.map(|routes| routes(core));
            check_routes(rules, router.as_ref()).map_err(refuse)?;
            mounted.routers.extend(router);
            mounted.recalls.extend(recalls);
            mounted.tasks.extend(tasks);
            mounted.metrics.extend(metrics);
        }
        Ok(mounted)
    }
}

/// Returns the table of a hub's own rules and those of its components.
///
/// # Errors
/// [`Error::Component`], if two rules overlap.
pub(crate) fn table(own: &'static [Rule], components: &[Component]) -> Result<Table, Error> {
    let mut table = Table::default();
    table.add("hub", own).map_err(|why| Error::Component { name: "hub", why })?;
    for component in components {
        let name = component.name;
        table.add(name, component.rules()).map_err(|why| Error::Component { name, why })?;
    }
    Ok(table)
}

/// Refuses a route without a rule, and a rule without a route.
pub(crate) fn check_routes(rules: &[Rule], router: Option<&OpenApiRouter>) -> Result<(), String> {
    let described = router.map(|router| serde_json::to_value(router.get_openapi())).transpose();
    let described = described.map_err(|e| e.to_string())?.unwrap_or_default();
    let mut routed = BTreeSet::new();
    for (path, methods) in described["paths"].as_object().into_iter().flatten() {
        let methods = methods.as_object().into_iter().flatten();
        routed.extend(methods.map(|(method, _)| format!("{} {path}", method.to_uppercase())));
    }
    let listed: BTreeSet<String> = rules.iter().map(Rule::to_string).collect();
    if let Some(route) = routed.difference(&listed).next() {
        return Err(format!("the route {route} has no rule: nobody could say who may use it"));
    }
    match listed.difference(&routed).next() {
        Some(rule) => Err(format!("the rule {rule} has no route")),
        None => Ok(()),
    }
}

/// Reads the hub's own stream once, and passes each event to the owner of its family. Other events, such as those of components
/// that are not mounted, are skipped.
///
/// # Errors
/// A family has two owners, an event is missing or cannot be parsed, or its owner rejects it.
pub(crate) async fn recall(own: &Stream, mut recalls: Vec<Recall>) -> Result<(), Error> {
    let mut families = BTreeSet::new();
    for family in recalls.iter().flat_map(|recall| recall.families) {
        if !families.insert(*family) {
            return Err(Error::Fold(format!(
                "two components keep something in events of the family {family}"
            )));
        }
    }
    let damaged = |seq, why: String| Error::Fold(format!("stream {}: event {seq}: {why}", own.name));
    let (mut next, last) = (own.first_seq(), own.head());
    while next <= last {
        let lines = own.lines(next, last, READ_BYTES).await.map_err(|e| damaged(next, e.to_string()))?;
        if lines.is_empty() {
            return Err(damaged(next, "it is missing".to_owned()));
        }
        for (seq, line) in lines.iter() {
            let head = Head::parse(line).map_err(|e| damaged(seq, e.to_string()))?;
            // Nearly all events of this stream have no owner.
            let owner = recalls.iter_mut().find(|recall| recall.owns(&head.type_name));
            if let Some(owner) = owner {
                let event = Envelope::parse(line).map_err(|e| damaged(seq, e.to_string()))?;
                (owner.fold)(&event).map_err(|why| damaged(seq, why))?;
            }
        }
        next = lines.last_seq() + 1;
    }
    Ok(())
}

impl Recall {
    fn owns(&self, type_name: &str) -> bool {
        let is_of = |family: &str| {
            type_name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.families.iter().any(|family| is_of(family))
    }
}
