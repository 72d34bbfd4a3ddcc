//! `omni auth`: how people may sign in.

use super::users::{places, scope};
use crate::args::{AuthCommand, OidcCommand, PlacesArg, SetOidcArgs};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::hidden::secret;
use crate::printer::Printer;
use crate::session::{Session, confirm};
use crate::units::ABSENT;
use anyhow::{Context, Result};
use omni_common::api::v1::{AccessRole, OidcGroup, OidcView, SetOidc};

/// Runs one of the commands.
pub(crate) async fn run(command: &AuthCommand, session: &Session, out: &mut Printer) -> Result<ExitStatus> {
    let AuthCommand::Oidc { command } = command;
    match command {
        OidcCommand::Show => {
            let provider = session.client.oidc().await?;
            out.text(&provider, |_| card(&provider))?;
        }
        OidcCommand::Set(args) => set(args, session, out).await?,
        OidcCommand::Rm { yes } => {
            confirm("Take the OpenID provider away, and sign out whoever came in through it?", *yes, out)?;
            session.client.remove_oidc().await?;
            out.say("There is no OpenID provider any more.");
        }
    }
    Ok(ExitStatus::Done)
}

async fn set(args: &SetOidcArgs, session: &Session, out: &mut Printer) -> Result<()> {
    let before = match session.client.oidc().await {
        Ok(provider) => Some(provider),
        Err(omni_sdk::Error::Api(problem)) if problem.status == 404 => None,
        Err(error) => return Err(error.into()),
    };
    let body = wanted(args, before.as_ref())?;
    let provider = session.client.set_oidc(&body).await?;
    if !out.for_people() {
        out.text(&provider, |_| card(&provider))?;
    }
    match &provider.problem {
        Some(problem) => out.warn(&format!("it is kept, but nobody can sign in through it yet: {problem}")),
        None => out.say(&format!("People can sign in through {}.", provider.issuer)),
    }
    let redirects = provider.redirects.join("\n  ");
    out.say(&format!("The provider has to allow these redirect addresses:\n  {redirects}"));
    Ok(())
}

/// What was typed, over what was set before.
fn wanted(args: &SetOidcArgs, before: Option<&OidcView>) -> Result<SetOidc> {
    let need = |flag: &str| Failure::Usage(format!("the first time, `{flag}` is needed"));
    let kept = |typed: &Option<String>, of: fn(&OidcView) -> String| typed.clone().or_else(|| before.map(of));
    let list = |typed: &[String], of: fn(&OidcView) -> Vec<String>| match typed.is_empty() {
        true => before.map(of),
        false => Some(typed.to_vec()),
    };
    let secret = match (args.secret || args.secret_stdin, args.no_secret) {
        (true, _) => Some(secret("Client secret", args.secret_stdin)?),
        (false, true) => Some(String::new()),
        (false, false) => None,
    };
    let groups = match args.groups.is_empty() {
        true => before.map(|before| before.groups.clone()).unwrap_or_default(),
        false => args.groups.iter().map(|text| group(text)).collect::<Result<_, _>>()?,
    };
    let others = match args.others.as_deref() {
        None => before.and_then(|before| before.others),
        Some("nothing") => None,
        Some(text) => Some(text.parse::<AccessRole>().map_err(Failure::Usage)?),
    };
    let roots_pem = args
        .roots
        .as_ref()
        .map(|path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .transpose()?;
    Ok(SetOidc {
        label: kept(&args.label, |before| before.label.clone()),
        issuer: kept(&args.issuer, |before| before.issuer.clone()).ok_or_else(|| need("--issuer"))?,
        client: kept(&args.client, |before| before.client.clone()).ok_or_else(|| need("--client"))?,
        secret,
        device_client: args
            .device_client
            .clone()
            .or_else(|| before.and_then(|before| before.device_client.clone())),
        scopes: list(&args.scopes, |before| before.scopes.clone()),
        groups_claim: kept(&args.groups_claim, |before| before.groups_claim.clone()),
        name_claim: kept(&args.name_claim, |before| before.name_claim.clone()),
        groups,
        others,
        origins: list(&args.origins, |before| before.origins.clone()).unwrap_or_default(),
        roots_pem,
    })
}

/// `GROUP=ROLE`, or `GROUP=ROLE@PLACE,PLACE`. A group's name may hold `=` itself.
fn group(text: &str) -> Result<OidcGroup, Failure> {
    let bad =
        || Failure::Usage(format!("`{text}` is no mapping: write `GROUP=ROLE` or `GROUP=ROLE@PLACE,PLACE`"));
    let (group, rest) = text.rsplit_once('=').ok_or_else(bad)?;
    let (role, places) = rest.split_once('@').map_or((rest, ""), |(role, places)| (role, places));
    let role = role.parse::<AccessRole>().map_err(Failure::Usage)?;
    if group.is_empty() {
        return Err(bad());
    }
    let places = places.split(',').filter(|place| !place.is_empty()).map(str::to_owned).collect();
    Ok(OidcGroup { group: group.to_owned(), role, scope: scope(&PlacesArg { places }) })
}

fn card(provider: &OidcView) -> String {
    let mut text = format!(
        "label      {}\nissuer     {}\nclient     {} ({})\ndevices    {}\nscopes     openid {}\nname       claim {}\ngroups     claim {}\n",
        provider.label,
        provider.issuer,
        provider.client,
        if provider.secret { "with a secret" } else { "public" },
        provider.device_client.as_deref().unwrap_or("the same client"),
        provider.scopes.join(" "),
        provider.name_claim,
        provider.groups_claim,
    );
    for one in &provider.groups {
        text += &format!("  {} is {}, {}\n", one.group, one.role, places(&one.scope));
    }
    let others = provider.others.map_or_else(|| ABSENT.to_owned(), |role| role.to_string());
    text += &format!("others     {others}\nredirects  {}\n", provider.redirects.join("\n           "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_group_role_and_places() {
        let one = group("cn=devs,dc=example=operator@staging,production/shop").expect("good");
        assert_eq!((one.group.as_str(), one.role), ("cn=devs,dc=example", AccessRole::Operator));
        assert_eq!(places(&one.scope), "staging, production/shop");
        assert_eq!(places(&group("admins=admin").expect("good").scope), "everywhere");
        for bad in ["admins", "=admin", "admins=king"] {
            assert!(group(bad).is_err(), "{bad}");
        }
    }
}
