//! The password of a repository is changed.

use crate::bed::{Bed, PASSWORD};
use omni_restic::{Error, Secret};

#[tokio::test]
async fn a_password_is_rotated_without_a_moment_in_which_none_opens() {
    let bed = Bed::new().await;
    let old = bed.repository("repository");
    // Like one that was typed by a careful person.
    let text = "new $PASSWORD with 'quotes' and ünïcode";
    let new = old.clone().with_password(Secret::new(text)).expect("a good password");
    let added = bed.restic.add_key(&old, Secret::new(text)).await.expect("it is added");
    assert!(added.current);
    let keys = bed.restic.keys(&old).await.expect("the old one opens");
    assert_eq!(keys.len(), 2);
    let replaced = keys.iter().find(|key| key.current).expect("the list was asked for with it").id.clone();
    assert_ne!(replaced, added.id);
    let error = bed.restic.remove_key(&old, &replaced).await.expect_err("it is in use");
    assert!(error.to_string().contains("currently used"), "{error}");

    bed.restic.remove_key(&new, &replaced).await.expect("the new one opens");
    let error = bed.restic.info(&old).await.expect_err("it was removed");
    assert!(matches!(error, Error::WrongPassword { .. }), "{error:?}");
    let keys = bed.restic.keys(&new).await.expect("the new one opens");
    assert_eq!((keys.len(), keys[0].current), (1, true));
    let error = bed.restic.remove_key(&new, &replaced).await.expect_err("it is gone already");
    assert!(error.to_string().contains("no such key"), "{error}");
    let left: Vec<_> = std::fs::read_dir(bed.path("work")).expect("our own folder").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_ne!(text, PASSWORD);
}
