//! Bills of materials that were uploaded. Whatever they are, they are compared or none.

use casque_fuzz::fuzz;

use super::*;

#[test]
fn a_bill_differs_from_itself_in_nothing_and_from_none_in_everything() {
    let bill = br#"{"packages":[{"SPDXID":"i","name":"v/p","versionInfo":"1"},{"SPDXID":"a","name":"a","versionInfo":"2",
        "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:deb/a@2"}]},{"SPDXID":"b","name":"v/p/b"}],
        "relationships":[{"spdxElementId":"d","relationshipType":"DESCRIBES","relatedSpdxElement":"i"},
        {"spdxElementId":"i","relationshipType":"CONTAINS","relatedSpdxElement":"a"}]}"#;
    assert_eq!(packages(&serde_json::from_slice(bill).unwrap()).len(), 1);
    fuzz("bills", &[bill], |data| {
        let Ok(document) = serde_json::from_slice::<Document>(data) else { return };
        let found = packages(&document);
        assert!(found.len() <= document.packages.len());
        let none = Difference { same: found.len(), ..Difference::default() };
        assert_eq!(compare(&found, &found), none);
        assert_eq!(compare(&Packages::new(), &found).added.len(), found.len());
    });
}
