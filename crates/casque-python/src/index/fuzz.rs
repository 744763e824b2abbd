//! Pages of an index. Whatever they are, each file of them has a whole address and a digest, or the page is refused.

use casque_fuzz::fuzz;

use super::*;

#[test]
fn each_file_of_a_page_has_an_address_and_a_digest() {
    let sha256 = "1".repeat(64);
    let json = format!(
        r#"{{"meta": {{"api-version": "1.1"}}, "name": "a", "files": [
            {{"filename": "a-1.whl", "url": "../../files/a-1%2Bx.whl", "hashes": {{"sha256": "{sha256}"}},
              "size": 12, "requires-python": ">=3.9", "yanked": "broken & old"}},
            {{"filename": "a-1.zip", "url": "https://files.example/a-1.zip#x", "hashes": {{}}, "yanked": true}}]}}"#
    );
    let html = format!(
        "<!DOCTYPE html><html><!-- <a href='x'> --><A\n HREF='../a-1%2Bx.whl#sha256={sha256}' \
         data-requires-python=\"&gt;=3.9\" data-yanked>a</a><a name=top><a href=c#md5=1&sha256={sha256}>c</a>"
    );
    let page = Index::new("https://index.example.com/simple").unwrap().page("a").unwrap();
    for (seed, count) in [(&json, 1), (&html, 2)] {
        assert_eq!(files(&page, seed.as_bytes()).unwrap().len(), count);
    }
    fuzz("index pages", &[json.as_bytes(), html.as_bytes()], |data| {
        // Each has written its digest somewhere, if not in one piece.
        let ones = data.iter().filter(|byte| **byte == b'1').count();
        for file in files(&page, data).unwrap_or_default() {
            let url = Url::parse(&file.url).unwrap();
            assert!(url.fragment().is_none() && url.as_str() == file.url, "{url}");
            assert!(file.sha256.to_string() != sha256 || ones >= 64, "{ones} digits");
        }
    });
}
