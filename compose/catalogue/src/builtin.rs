//! The systems that come with omni.

macro_rules! embed {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../systems/", $file)))),*]
    };
}

/// Every file of `systems/`, by name, with its text. A test holds this list against the folder.
pub(crate) const FILES: &[(&str, &str)] = embed![
    "01-backup-disaster-recovery.yaml",
    "02-secrets-vault.yaml",
    "03-identity-auth.yaml",
    "04-database-management.yaml",
    "05-email-infrastructure.yaml",
    "06-centralized-logging.yaml",
    "07-security-ids.yaml",
    "08-monitoring-stack.yaml",
    "09-reverse-proxy.yaml",
    "10-container-management.yaml",
    "11-ai-gateway.yaml",
    "12-workflow-automation.yaml",
    "13-git-hosting.yaml",
    "14-project-management.yaml",
    "15-team-communication.yaml",
    "16-ai-observability.yaml",
    "17-vector-database.yaml",
    "18-openhands.yaml",
    "19-swe-agent.yaml",
    "20-nango.yaml",
    "21-object-storage.yaml",
    "22-omi-command-center.yaml",
    "23-wiki-js.yaml",
    "24-apache-superset.yaml",
    "25-cal-com.yaml",
    "26-twenty-crm.yaml",
    "27-invoice-system.yaml",
    "28-flowise.yaml",
    "29-enhanced-monitoring.yaml",
    "30-log-aggregation.yaml",
    "31-uptime-monitor.yaml",
    "32-backup-system.yaml",
    "33-secret-management.yaml",
    "34-reverse-proxy-ssl.yaml",
    "35-ci-cd-pipelines.yaml",
    "36-dev-environments.yaml",
    "37-master-orchestrator.yaml",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_list_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systems");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .expect("systems/ is beside the crate")
            .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("UTF-8"))
            .collect();
        there.sort();
        let listed: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, there, "add the file to the list in builtin.rs");
    }

    #[test]
    fn each_file_carries_its_number() {
        for (name, text) in FILES {
            let number: u16 = name[..2].parse().expect("two digits first");
            assert!(text.contains(&format!("\nsystem: {number}\n")), "{name}");
        }
    }
}
