//! What a provider says of a person, and what that makes of them here. Pure.

use crate::state::{ApiRole, OidcSettings, User, UserSource};
use omni_common::clock::Time;
use omni_common::domain::{MAX_NAME, check_name};
use serde_json::{Map, Value};

/// Groups looked at: more than people are in.
const MAX_GROUPS: usize = 1_000;
/// Longest display name taken over, bytes.
const MAX_DISPLAY_NAME: usize = 128;

/// Why somebody that the provider vouches for does not come in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAdmitted {
    /// None of their groups may.
    #[error(
        "{0} is in none of the groups that may come in; an admin maps groups with `omni auth oidc set --group`"
    )]
    Groups(String),
    /// The name cannot be used here.
    #[error("the provider gives no usable name in the claim `{0}`")]
    Name(String),
}

/// The person that `claims` describe, with what their groups allow.
pub(super) fn admit(
    settings: &OidcSettings,
    subject: &str,
    claims: &Map<String, Value>,
    now: Time,
) -> Result<User, NotAdmitted> {
    let name = name_of(settings, claims)?;
    let groups = groups_of(claims.get(&settings.groups_claim));
    let mapped = settings.groups.iter().find(|one| groups.contains(&one.group.as_str()));
    let (role, places): (ApiRole, _) = match (mapped, settings.others) {
        (Some(group), _) => (group.role, group.places.clone()),
        (None, Some(role)) => (role, Vec::new()),
        (None, None) => return Err(NotAdmitted::Groups(name)),
    };
    let display_name = claims.get("name").and_then(Value::as_str).map(str::trim);
    let display_name = display_name.filter(|name| {
        !name.is_empty() && name.len() <= MAX_DISPLAY_NAME && !name.chars().any(char::is_control)
    });
    Ok(User {
        name,
        display_name: display_name.map(str::to_owned),
        role,
        places,
        password: None,
        source: UserSource::Oidc { issuer: settings.issuer.clone(), subject: subject.to_owned() },
        disabled: false,
        created: now,
        created_by: "the OpenID provider".to_owned(),
        changed: now,
        signed_in: None,
        revision: 0,
    })
}

/// The name, with what omni's names cannot hold replaced: `ann@example.org` is `ann-example.org`. Two people whose names
/// meet that way are not mixed up: the second one is turned away.
fn name_of(settings: &OidcSettings, claims: &Map<String, Value>) -> Result<String, NotAdmitted> {
    let given = claims.get(&settings.name_claim).and_then(Value::as_str).unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = given.chars().take(MAX_NAME).map(|c| if fits(c) { c } else { '-' }).collect();
    match check_name(&name) {
        Ok(()) => Ok(name),
        Err(_) => Err(NotAdmitted::Name(settings.name_claim.clone())),
    }
}

/// A list of names; some providers give a single one as text.
fn groups_of(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::Array(groups)) => groups.iter().take(MAX_GROUPS).filter_map(Value::as_str).collect(),
        Some(Value::String(group)) => vec![group],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::GroupRole;
    use serde_json::json;

    fn settings(others: Option<ApiRole>) -> OidcSettings {
        let group = |group: &str, role, places: &[&str]| GroupRole {
            group: group.to_owned(),
            role,
            places: places.iter().map(|place| (*place).to_owned()).collect(),
        };
        OidcSettings {
            label: "x".to_owned(),
            issuer: "https://auth.example/application/o/omni/".to_owned(),
            client: "omni".to_owned(),
            secret_sealed: None,
            device_client: None,
            scopes: Vec::new(),
            groups_claim: "groups".to_owned(),
            name_claim: "preferred_username".to_owned(),
            groups: vec![
                group("omni-admins", ApiRole::Admin, &[]),
                group("devs", ApiRole::Operator, &["staging"]),
            ],
            others,
            origins: Vec::new(),
            roots_pem: None,
            revision: 0,
        }
    }

    fn admitted(
        others: Option<ApiRole>,
        claims: &Value,
    ) -> Result<(String, ApiRole, Vec<String>), NotAdmitted> {
        let claims = claims.as_object().expect("an object");
        let user = admit(&settings(others), "5f", claims, Time::EPOCH)?;
        assert_eq!(user.password, None);
        Ok((user.name, user.role, user.places))
    }

    #[test]
    fn the_first_group_decides() {
        let both = json!({"preferred_username": "ann", "groups": ["devs", "omni-admins"]});
        assert_eq!(admitted(None, &both), Ok(("ann".to_owned(), ApiRole::Admin, vec![])));
        let one = json!({"preferred_username": "bob", "groups": "devs"});
        assert_eq!(
            admitted(None, &one),
            Ok(("bob".to_owned(), ApiRole::Operator, vec!["staging".to_owned()]))
        );
    }

    #[test]
    fn whoever_is_in_no_group_is_turned_away_unless_told_otherwise() {
        for groups in [json!([]), json!(["Devs"]), json!(null), json!({"devs": true}), json!([1])] {
            let claims = json!({"preferred_username": "eve", "groups": groups});
            assert_eq!(admitted(None, &claims), Err(NotAdmitted::Groups("eve".to_owned())));
            assert_eq!(
                admitted(Some(ApiRole::Viewer), &claims).map(|(_, role, _)| role),
                Ok(ApiRole::Viewer)
            );
        }
    }

    #[test]
    fn a_name_is_made_to_fit_or_missed() {
        let named = |name: Value| {
            admitted(Some(ApiRole::Viewer), &json!({"preferred_username": name})).map(|(name, _, _)| name)
        };
        assert_eq!(named(json!("ann@example.org")), Ok("ann-example.org".to_owned()));
        for bad in [json!(""), json!(null), json!(7), json!("@@"), json!("-ann")] {
            assert!(named(bad.clone()).is_err(), "{bad}");
        }
    }
}
