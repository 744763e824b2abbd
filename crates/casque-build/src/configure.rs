//! Unpacked packages become installed ones: by their own maintainer scripts, in the order Debian policy gives (6.6).

use std::collections::BTreeSet;
use std::path::Path;

use casque_debian::{
    Control, Deb, Pin, add_control, configure_batches, forget_left_out, preinst_order, prepare_root, unpack,
};

use crate::builder::Builder;
use crate::error::BuildError;
use crate::event::Event;
use crate::keys;
use crate::sandbox::{Access, Confined};
use crate::trim;

/// Files that sandboxes and engines mount over, whatever they hold.
pub(crate) const MOUNT_POINTS: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];
/// Packages being decompressed at a time.
const THREADS: usize = 2;

/// Runs what dpkg would have run before it unpacked: `$@` are the packages.
///
/// On a new system these scripts have almost nothing to do; base-passwd's makes the first users, which others need. Two
/// programs that they call are links which configuring makes, so they are there before. The scripts run where dpkg runs
/// them, for debconf goes by that.
const PREINST: &str = r#"
set -e
if [ "$0" = new ]; then
    [ -e /usr/bin/awk ] || ln -s mawk /usr/bin/awk
    [ -e /usr/bin/sh ] || ln -s dash /usr/bin/sh
fi
export DPKG_ADMINDIR=/var/lib/dpkg DPKG_ROOT= DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1
DPKG_RUNNING_VERSION=$(dpkg-query --showformat='${Version}' --show dpkg)
DPKG_MAINTSCRIPT_ARCH=$(dpkg --print-architecture)
export DPKG_RUNNING_VERSION DPKG_MAINTSCRIPT_ARCH
new=/var/lib/dpkg/tmp.ci
for package; do
    mkdir $new
    for file in "/var/lib/dpkg/info/$package".*; do
        cp -p "$file" "$new/${file#"/var/lib/dpkg/info/$package".}"
    done
    echo "Package: ${package%:*}" >$new/control
    DPKG_MAINTSCRIPT_PACKAGE=${package%:*} $new/preinst install
    rm -r $new
done
"#;

/// Configures packages, the words between two `,` in one call. On a new system the first are alone before everything
/// they depend on, so that has to be overlooked; the last call overlooks nothing.
const CONFIGURE: &str = r#"
set -e
batch=
for word; do
    case $word in
        ,) dpkg --configure --no-triggers --force-depends --force-confold --force-confdef $batch; batch= ;;
        *) batch="$batch $word" ;;
    esac
done
dpkg --configure --pending
dpkg --triggers-only --pending
"#;

/// The only architecture so far.
pub(crate) const ARCHITECTURE: &str = "amd64";

impl Builder<'_> {
    /// Unpacks and configures `packages` in `root`; `layer` is for messages.
    pub(crate) fn install(&self, layer: &str, root: &Path, packages: &[Pin]) -> Result<(), BuildError> {
        let store = self.cache.store()?;
        let mut debs = Vec::new();
        for pin in packages {
            let read = Deb::open(&store.path(&pin.sha256));
            let deb = read.map_err(|source| BuildError::Package { package: pin.name.clone(), source })?;
            check_label(pin, &deb.control)?;
            debs.push(deb.keeping(self.cache.unpacked(&pin.sha256)));
        }
        let controls: Vec<&Control> = debs.iter().map(|deb| &deb.control).collect();
        let mut preinsts = preinst_order(&controls, ARCHITECTURE)?;
        let with_preinst =
            debs.iter().filter(|deb| deb.has("preinst")).map(|deb| deb.control.database_name());
        let with_preinst: BTreeSet<String> = with_preinst.collect();
        preinsts.retain(|name| with_preinst.contains(name));
        let batches = configure_batches(&controls, ARCHITECTURE)?;

        self.work(format!("unpacking {} packages", packages.len()));
        let new = root.join("var/lib/dpkg/status").symlink_metadata().is_err();
        if new {
            // Nothing runs in an empty root: here the scripts that belong before unpacking come after it.
            prepare_root(root, ARCHITECTURE)?;
            self.write_trim_rules(root).map_err(BuildError::Root)?;
            unpack(root, &debs, THREADS)?;
            for path in MOUNT_POINTS {
                fs_err::write(root.join(path), "").map_err(BuildError::Root)?;
            }
        } else {
            add_control(root, &debs)?;
        }
        let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
        // bash is there unpacked; `sh` is a link that configuring dash makes.
        let (shell, name) = if new { ("/usr/bin/bash", "new") } else { ("sh", "more") };
        let mut command = vec![shell, "-c", PREINST, name];
        command.extend(preinsts.iter().map(String::as_str));
        confined.run(layer, &command)?;
        if !new {
            unpack(root, &debs, THREADS)?;
        }
        if let (true, Some(answers)) = (new, self.preseed().map_err(BuildError::Root)?) {
            // debconf's own package need not be configured for that, and whoever asks comes later.
            confined.answer(layer, "/usr/bin/debconf-set-selections", &answers)?;
        }
        self.work("configuring them".to_owned());
        let mut command = vec!["sh", "-c", CONFIGURE, "configure"];
        for batch in &batches {
            command.extend(batch.iter().map(String::as_str));
            command.push(",");
        }
        confined.run(layer, &command)
    }

    fn write_trim_rules(&self, root: &Path) -> std::io::Result<()> {
        let rules = trim::rules(&self.manifest.content.image.keep);
        let path = root.join(trim::RULES);
        fs_err::create_dir_all(path.parent().expect("the rules are in a directory"))?;
        if rules.is_empty() { Ok(()) } else { fs_err::write(path, rules) }
    }

    /// Fails when dpkg, where there is one, finds a package that is not whole, after what belongs to no image was dealt with: records of files
    /// that were left out, and private keys.
    pub(crate) fn audit(&self, layer: &str, root: &Path) -> Result<(), BuildError> {
        if self.lock.has_dpkg() {
            forget_left_out(root)?;
        }
        for text in keys::judge(root).map_err(BuildError::Root)? {
            self.observer.event(&Event::Warning { text });
        }
        if !self.lock.has_dpkg() {
            return Ok(());
        }
        let confined = Confined::new(self, root, Access::None).map_err(BuildError::Root)?;
        let lines = confined.lines(layer, &["dpkg", "--audit"])?;
        if lines.is_empty() {
            return Ok(());
        }
        Err(BuildError::Audit { layer: layer.to_owned(), lines })
    }
}

/// Checks that a package is the one that the archive's index said it is.
fn check_label(pin: &Pin, control: &Control) -> Result<(), BuildError> {
    let found = (&control.name, &control.version, &control.architecture);
    if found == (&pin.name, &pin.version, &pin.architecture) {
        return Ok(());
    }
    let (name, version, architecture) = found;
    Err(BuildError::Mislabelled {
        wanted: format!("{} {} {}", pin.name, pin.version, pin.architecture),
        found: format!("{name} {version} {architecture}"),
    })
}
