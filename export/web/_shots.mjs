import { ready, withSite } from "/work/main/export/web/browser.mjs";
const out = "/tmp/w/";
await withSite(async (open, address) => {
  for (const [name, options] of [["wide", {viewport:{width:1280,height:900}}], ["phone", {viewport:{width:360,height:740}, deviceScaleFactor:2, isMobile:true, hasTouch:true}]]) {
    const page = await open(options);
    await page.goto(`${address}?seed=3`);
    await ready(page);
    await page.evaluate(async () => {
      const { mnist, growing } = window.tfnca;
      for (const p of [mnist, growing]) p.play(false);
      await new Promise((r) => setTimeout(r, 300));
      while (mnist.ca.index < 100) await mnist.advance(10);
      mnist.sprinkle();
      while (mnist.ca.index < 130) await mnist.advance(10);
      mnist.draw(true);
      while (growing.ca.index < 120) await growing.advance(10);
      growing.rows.no_tail.slider.value = 1; growing.rows.no_tail.slider.oninput();
      while (growing.ca.index < 200) await growing.advance(10);
      growing.sprinkle();
      while (growing.ca.index < 240) await growing.advance(10);
      growing.draw(true);
    });
    await page.waitForTimeout(300);
    for (const id of ["digits", "lizard"]) await page.locator(`#${id}`).screenshot({ path: `${out}${name}_${id}.png` });
    await page.locator(".settings").screenshot({ path: `${out}${name}_settings.png` });
    await page.close();
  }
});
