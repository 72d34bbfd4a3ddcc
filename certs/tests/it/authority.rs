//! What the authority signs, and what it refuses.

use omni_certs::{Authority, CaFingerprint, Error, Identity, Issued, KeyPair, leaf_info, lifetimes};
use omni_common::clock::Time;
use omni_common::ids::{ClusterId, ControllerId, HostId};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, SanType,
};
use std::collections::BTreeSet;
use std::time::Duration;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

const CLUSTER: ClusterId = ClusterId::from_u128(0xc1);
const NOW: Time = Time::from_secs(1_800_000_000);

fn authority() -> Authority {
    Authority::create(CLUSTER, NOW).expect("the random source works")
}

fn host() -> Identity {
    Identity::host(CLUSTER, HostId::from_u128(7))
}

fn csr() -> Vec<u8> {
    KeyPair::generate().and_then(|key| key.csr()).expect("the random source works")
}

fn issue(authority: &Authority, alt_names: &[&str]) -> Result<Issued, Error> {
    let names: Vec<String> = alt_names.iter().map(|name| (*name).to_owned()).collect();
    authority.issue(&csr(), host(), &names, NOW, lifetimes::HOST)
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    x509_parser::parse_x509_certificate(der).expect("a certificate").1
}

/// All alternative names, as text.
fn names(cert: &X509Certificate<'_>) -> Vec<String> {
    let extension = cert.subject_alternative_name().expect("readable").expect("present");
    extension
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::URI(uri) => (*uri).to_owned(),
            GeneralName::DNSName(name) => format!("dns {name}"),
            GeneralName::IPAddress(bytes) => format!("ip {bytes:?}"),
            other => panic!("{other}"),
        })
        .collect()
}

#[test]
fn a_leaf_says_who_it_is_for_and_nothing_more() {
    let authority = authority();
    let issued = issue(&authority, &["db.example.org", "10.0.0.7", "::1"]).expect("a valid request");
    let cert = parse(&issued.chain[0]);
    let ip6 = format!("ip {:?}", std::net::Ipv6Addr::LOCALHOST.octets());
    let expected = [&host().to_string(), "dns db.example.org", "ip [10, 0, 0, 7]", &ip6];
    assert_eq!(names(&cert), expected);
    let usages = cert.extended_key_usage().expect("readable").expect("present").value;
    assert!(usages.client_auth && usages.server_auth && !usages.any && usages.other.is_empty());
    let usage = cert.key_usage().expect("readable").expect("present").value;
    assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
    assert!(!cert.is_ca());
    let signer = cert
        .extensions()
        .iter()
        .any(|extension| matches!(extension.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_)));
    assert!(signer, "names the key that signed it");

    let info = leaf_info(&issued.chain[0]).expect("a member's certificate");
    assert_eq!((info.identity, info.serial.as_str()), (host(), issued.serial.as_str()));
    assert_eq!(info.not_before, NOW.minus(lifetimes::BACKDATE));
    assert_eq!((info.not_after, issued.not_after), (NOW.plus(lifetimes::HOST), NOW.plus(lifetimes::HOST)));
    assert_eq!(issued.chain[1], authority.cert_der());
}

#[test]
fn the_root_signs_members_and_nothing_else() {
    let authority = authority();
    let cert = parse(authority.cert_der());
    let constraints = cert.basic_constraints().expect("readable").expect("present").value;
    assert!(constraints.ca);
    assert_eq!(constraints.path_len_constraint, Some(0));
    assert!(cert.subject().to_string().contains(&CLUSTER.to_string()));
    assert_eq!(cert.validity().not_after.timestamp(), NOW.plus(lifetimes::ROOT).as_secs());
    assert_eq!(authority.fingerprint(), CaFingerprint::of(authority.cert_der()));
    assert!(leaf_info(authority.cert_der()).is_err(), "a root is no member");
}

#[test]
fn a_request_cannot_ask_for_an_identity_or_power() {
    let key = rcgen::KeyPair::generate().expect("the random source works");
    let mut params = CertificateParams::default();
    let wish = Identity::controller(CLUSTER, ControllerId(1)).to_string();
    params.subject_alt_names = vec![
        SanType::URI(wish.as_str().try_into().expect("ASCII")),
        SanType::DnsName("admin.example.org".try_into().expect("ASCII")),
    ];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let csr = params.serialize_request(&key).expect("signs");

    let issued =
        authority().issue(csr.der(), host(), &[], NOW, lifetimes::HOST).expect("the key itself is fine");
    let cert = parse(&issued.chain[0]);
    assert_eq!(names(&cert), [host().to_string()]);
    assert!(!cert.is_ca());
    assert!(!cert.key_usage().expect("readable").expect("present").value.key_cert_sign());
    assert!(!cert.extended_key_usage().expect("readable").expect("present").value.code_signing);
}

#[test]
fn bad_requests_are_refused_by_name() {
    let authority = authority();
    let attempt = |csr: &[u8]| authority.issue(csr, host(), &[], NOW, lifetimes::HOST).expect_err("refused");
    assert!(matches!(attempt(b""), Error::ReadRequest(_)));
    assert!(matches!(attempt(&[0; 9000]), Error::RequestTooLong(9000)));
    let other = rcgen::KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("the random source works");
    let csr = CertificateParams::default().serialize_request(&other).expect("signs");
    assert!(matches!(attempt(csr.der()), Error::RequestKey));
}

#[test]
fn a_changed_request_never_certifies_another_key() {
    let authority = authority();
    let key_of = |csr: &[u8]| {
        let issued = authority.issue(csr, host(), &[], NOW, lifetimes::HOST).ok()?;
        Some(leaf_info(&issued.chain[0]).expect("a member's certificate").public_key)
    };
    let good = csr();
    let own = key_of(&good).expect("a valid request");
    let mut refused = 0;
    for position in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = good.clone();
            changed[position] ^= flip;
            // A few bits of the outer wrapping carry no meaning; everything else is under the signature.
            match key_of(&changed) {
                Some(key) => assert_eq!(key, own, "changed at {position}"),
                None => refused += 1,
            }
        }
    }
    assert!(refused > good.len() * 2, "only {refused} changes were noticed");
}

#[test]
fn only_members_of_the_own_cluster_and_sensible_names() {
    let authority = authority();
    let foreign = Identity::host(ClusterId::from_u128(9), HostId::from_u128(7));
    let refused = authority.issue(&csr(), foreign, &[], NOW, lifetimes::HOST);
    assert!(matches!(refused, Err(Error::ForeignIdentity { .. })));
    for name in ["", "a b", "spiffe://x", "exa\u{fc}mple.org", "a..b", "*.example.org/"] {
        assert!(matches!(issue(&authority, &[name]), Err(Error::AltName(_))), "{name}");
    }
}

#[test]
fn serials_differ_and_lives_end_with_the_root() {
    let authority = authority();
    let serials: BTreeSet<String> =
        (0..50).map(|_| issue(&authority, &[]).expect("a valid request").serial).collect();
    assert_eq!(serials.len(), 50);
    assert!(serials.iter().all(|serial| serial.len() == 32));

    let end = NOW.plus(lifetimes::ROOT);
    let late = end.minus(Duration::from_secs(60));
    let issued = authority.issue(&csr(), host(), &[], late, lifetimes::HOST).expect("a valid request");
    assert_eq!(issued.not_after, end);
}

#[test]
fn a_stored_authority_comes_back_whole() {
    let first = authority();
    let again = Authority::from_parts(first.cert_der(), first.key_pkcs8()).expect("own parts");
    assert_eq!((again.cluster(), again.fingerprint()), (CLUSTER, first.fingerprint()));
    issue(&again, &[]).expect("signs like the first");

    let other = authority();
    assert!(matches!(Authority::from_parts(first.cert_der(), other.key_pkcs8()), Err(Error::KeyMismatch)));
    assert!(matches!(Authority::from_parts(b"x", first.key_pkcs8()), Err(Error::ReadCertificate(_))));
    assert!(matches!(Authority::from_parts(first.cert_der(), b"x"), Err(Error::ReadKey(_))));
    let leaf = issue(&first, &[]).expect("a valid request");
    assert!(Authority::from_parts(&leaf.chain[0], first.key_pkcs8()).is_err(), "a leaf is no root");
}
