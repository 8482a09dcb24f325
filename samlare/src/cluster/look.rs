//! Reads the members without joining.

use std::time::Duration;

use tokio::time::timeout;

use super::engine::{Change, Engine};
use super::owners::Owners;
use super::seat::Seat;
use super::settings::Settings;

/// The timeout of the engine.
const LIMIT: Duration = Duration::from_secs(3);

/// The owners as if a member with these settings joined now.
///
/// # Errors
/// Why the engine cannot be queried.
pub async fn look(engine: &dyn Engine, settings: &Settings) -> Result<Owners, String> {
    let mut changes = engine.members();
    let mut why = "no answer within 3 s".to_owned();
    let read = async {
        loop {
            match changes.next().await {
                Ok(Change::All { entries, .. }) => return entries,
                Ok(_) => {}
                Err(error) => why = error,
            }
        }
    };
    let Ok(entries) = timeout(LIMIT, read).await else { return Err(why) };
    let seats = entries.iter().filter_map(|entry| Seat::parse(&entry.value).ok());
    let names: Vec<String> = seats
        .filter(|seat| seat.group == settings.group && !seat.leaving)
        .map(|seat| seat.name)
        .collect();
    let names = names.iter().chain([&settings.name]).map(String::as_str);
    Ok(Owners::new(names, settings.replicas))
}
