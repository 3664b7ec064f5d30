//! The components of a hub, and the engines that its logs can be in.

use std::path::Path;
use std::sync::Arc;

use rig_hub::{Builder, Component, Hub, Options};
use rig_recorder::{Folders, Memory, Store};

use super::Settings;

/// Returns all components of a hub with these settings, in the order in which they are mounted. Secrets that the settings name are read;
/// nothing is connected to.
///
/// # Errors
/// In words, without a secret in them, when a hub with these settings would not start.
pub fn components(settings: &Settings) -> Result<Vec<Component>, String> {
    Ok(vec![
        rig_query::component(),
        page(),
        rig_ingest::watch::component(settings.watched().map_err(|e| e.to_string())?),
        #[cfg(feature = "ssh")]
        rig_ingest::ssh::component(settings.devices(), &settings.collect, settings.allow.clone()),
        #[cfg(feature = "nats")]
        rig_ingest::nats::component(settings.nats.clone()),
        rig_notify::component(&settings.endpoints(), &settings.allow)?,
    ])
}

/// Returns the component that serves the dashboard: what is in the program, or the folder that `RIG_WEB_DIR` names.
pub fn page() -> Component {
    let folder = std::env::var_os("RIG_WEB_DIR").filter(|folder| !folder.is_empty());
    rig_web::component(folder.map(Into::into))
}

/// Returns the store that a hub with these options keeps its logs in: folders in its data directory, or memory.
pub fn store(options: &Options) -> Arc<dyn Store> {
    match &options.data {
        Some(data) => Arc::new(Folders::new(data, options.segments())),
        None => Arc::new(Memory::default()),
    }
}

/// Begins to build a hub with these components.
pub fn builder(options: Options, components: Vec<Component>) -> Builder {
    let store = store(&options);
    components.into_iter().fold(Hub::builder(options, store), Builder::mount)
}

/// Begins to build a hub for the run of one command. It is in memory, but for the lines of its logs: a command may print more than there is
/// memory, so they are in segments below `lines`, which must be gone with the hub.
pub fn private(options: Options, lines: &Path) -> Builder {
    let store = Folders::new(lines, options.segments());
    Hub::builder(options, Arc::new(store)).mount(rig_query::component()).mount(page())
}
