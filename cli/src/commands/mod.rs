//! One file for each verb. Each takes what was typed, the session and the printer, and returns how it ended.

pub(crate) mod account;
pub(crate) mod adopt;
pub(crate) mod alerts;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod completion;
pub(crate) mod context;
pub(crate) mod controllers;
pub(crate) mod deploy;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod health;
pub(crate) mod hosts;
mod hosts_show;
pub(crate) mod images;
pub(crate) mod login;
pub(crate) mod logs;
pub(crate) mod ps;
pub(crate) mod registry;
pub(crate) mod secrets;
mod sign_in;
pub(crate) mod status;
pub(crate) mod systems;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod users;
pub(crate) mod version;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::table::{Fit, Table};
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn no_table_is_wider_than_a_terminal_of_eighty_columns() {
        let now = fixtures::now();
        let long = |name: &str| format!("{name}-{}", "x".repeat(40));
        let mut containers = fixtures::containers();
        containers[1].container.name = long("gitea");
        let mut hosts = fixtures::hosts();
        hosts[1].name = long("web");
        let mut apps = fixtures::apps();
        apps[0].name = long("shop");
        let mut releases = fixtures::releases();
        releases[0].images = vec![long("registry.lan/shop"), long("registry.lan/db")];
        let mut firing = fixtures::alerts();
        firing[0].summary = Some(long("shop"));
        let mut users = fixtures::users();
        users[1].name = long("bob");
        let tables: [(&str, Table); 16] = [
            ("adopt", adopt::table(&fixtures::projects())),
            ("users", users::table(&users, now)),
            ("backup status", backup::status::table(&fixtures::backup_status(), now)),
            ("backup list", backup::runs::table(&fixtures::runs(), now)),
            ("backup repo", backup::repo::table(&fixtures::repositories(), now)),
            ("snapshots", backup::snapshots::table(&fixtures::snapshots(), now)),
            ("secrets", secrets::table(&fixtures::secrets(), now)),
            ("alerts", alerts::table(&firing, now)),
            ("apps", apps::list::table(&apps, now)),
            ("releases", apps::releases::table(&releases, now)),
            ("explain", apps::explain::table(&fixtures::explanation().groups[0])),
            ("hosts", hosts::table(&hosts, now)),
            ("ps", ps::table(&containers, now)),
            ("images", images::list::table(&fixtures::images(), now)),
            ("controllers", controllers::table(&fixtures::controllers(), now)),
            ("audit", audit::table(&fixtures::audit())),
        ];
        for (name, table) in &tables {
            for width in [80, 100, 120] {
                let text = table.render(Fit { width: Some(width), ..Fit::default() });
                let widest = text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
                assert!(widest <= width, "{name} at {width}:\n{text}");
            }
        }
    }
}
