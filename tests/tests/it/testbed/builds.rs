//! Images that a compose file builds: on a host of the mesh, for whichever host runs them.

use super::deploy::{page, project, says, test, took};
use anyhow::{Result, ensure};
use omni_tests::mesh::{Mesh, SOON, hosts_of, settled};
use omni_tests::testbed::Testbed;
use std::time::Instant;

const COMPOSE: &str = r#"
name: shop
services:
  web:
    build:
      context: web
      args: {GREETING: "${GREETING:-hello}"}
    command: [busybox, httpd, -f, -p, "80", -h, /www]
    ports: ["8080:80"]
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1/"], interval: 500ms, retries: 3}
    deploy:
      placement: {constraints: [node.hostname == h3]}
      update_config: {monitor: 500ms, failure_action: rollback}
"#;

const DOCKERFILE: &str = r#"
FROM omni-test/busybox:1
ARG GREETING
COPY . /www/
RUN echo "$GREETING" >/www/greeting && ls /www >/www/list
"#;

#[test]
fn an_image_is_built_on_one_host_and_runs_on_another() {
    test(|bed, mesh| {
        let shop = project(bed, "shop", COMPOSE)?;
        shop.write("web/Dockerfile", DOCKERFILE)?;
        shop.write("web/.dockerignore", "*.log\n")?;
        shop.write("web/index.html", "one\n")?;
        shop.write("web/noise.log", "not for the image\n")?;
        let begun = Instant::now();
        let first = mesh.deploy(&shop, &["--build-on", "h1"])?;
        took("built on one host, copied to another, and healthy", begun.elapsed());
        says(&first.stderr, &["web: is to be built from", "h1 builds web.", "web | Step 1/4"])?;
        first.done()?;
        runs(bed, mesh, 1, "one", "hello")?;
        let list = page(bed, "h3", "8080/list")?;
        ensure!(list.contains("index.html") && !list.contains("noise.log"), "{list}");

        // What was not changed is not built, and what nobody reads does not count.
        shop.write("web/noise.log", "more of it\n")?;
        let idle = mesh.deploy(&shop, &[])?;
        says(&idle.stderr, &["Nothing would change"])?;
        ensure!(!idle.stderr.contains("builds"), "{}", idle.stderr);

        shop.write("web/index.html", "two\n")?;
        let plan = mesh.omni().run(shop.deploy(&["--plan", "--set", "GREETING=bye"]))?;
        says(&plan.stdout, &["services.web.image"])?;
        mesh.deploy(&shop, &["--set", "GREETING=bye"])?.done()?;
        runs(bed, mesh, 2, "two", "bye")?;

        // A build that fails changes nothing, and says in the builder's words why.
        shop.write("web/Dockerfile", &DOCKERFILE.replace("ls /www", "ls /nowhere"))?;
        let failed = mesh.deploy(&shop, &[])?;
        failed.refused(
            1,
            &["web | ls: /nowhere: No such file", "the image cannot be built", "non-zero code"],
        )?;
        runs(bed, mesh, 2, "two", "bye")?;

        // The old image is still there to go back to.
        mesh.omni().run(["rollback", "shop", "--to", "1", "--wait=2m"])?.done()?;
        mesh.await_app("shop", "it is back", SOON, |app| settled(app, 1))?;
        ensure!(page(bed, "h3", "8080")? == "one", "{}", page(bed, "h3", "8080")?);
        let audit = mesh.omni().run(["audit", "--what", "image.build", "-o", "json"])?.done()?;
        says(&audit, &["default/shop", "on h1"])
    });
}

fn runs(bed: &Testbed, mesh: &Mesh<'_>, release: u64, text: &str, greeting: &str) -> Result<()> {
    let app = mesh.await_app("shop", "it runs", SOON, |app| settled(app, 1) && app.release == release)?;
    ensure!(hosts_of(&app) == ["h3"].into(), "{:?}", hosts_of(&app));
    let seen = (page(bed, "h3", "8080")?, page(bed, "h3", "8080/greeting")?);
    ensure!(seen == (text.to_owned(), greeting.to_owned()), "{seen:?}");
    Ok(())
}
