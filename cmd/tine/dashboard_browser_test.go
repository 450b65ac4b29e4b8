//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/tinehq/tine/ipc/eventually"
	"github.com/tinehq/tine/supervisor/control"
)

const dashboardToken = "a-token-for-this-test-only"

// chromium finds a browser, or skips the test with what to do. scripts/browser
// installs one.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("SKIPPED: dashboard in a browser: no chromium (Debian: apt-get install chromium, or scripts/browser as root)")
	return ""
}

// artefacts is where screenshots are kept.
func artefacts(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "bin", "artefacts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t.ArtifactDir()
	}
	return dir
}

// tab is a page in a browser.
type tab struct {
	*testing.T
	ctx  context.Context
	dir  string // of screenshots
	name string

	mu     sync.Mutex
	errors []string // of its console
}

// openBrowser starts one that ends with the test.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(patience), chromedp.Flag("no-proxy-server", true))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium refuses to have one as root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	browser, cancel := chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("cannot start the browser: %v", err)
	}
	return browser
}

func openTab(t *testing.T, browser context.Context, name string, width, height int64, options ...chromedp.EmulateViewportOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	p := &tab{T: t, ctx: ctx, dir: artefacts(t), name: name}
	console := chromedp.Console(ctx)
	go func() { // ends with the tab
		for m, err := range console {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning || m.IsException() {
				p.mu.Lock()
				p.errors = append(p.errors, fmt.Sprintf("%s (%s:%d)", m, m.URL, m.Line))
				p.mu.Unlock()
			}
		}
	}()
	p.do("set the viewport", chromedp.EmulateViewport(width, height, options...))
	// Keys go to a page that has the focus, whatever other tabs there are.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatalf("cannot focus the page: %v", err)
	}
	return p
}

func (p *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.shot("failed")
		p.Fatalf("%s: cannot %s: %v", p.name, what, err)
	}
}

func evaluate[T any](p *tab, script string) T {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		p.Fatalf("%s: cannot evaluate %s: %v", p.name, script, err)
	}
	return v
}

// sees waits until a script is true.
func (p *tab) sees(what, script string) {
	p.Helper()
	seen := false
	defer func() {
		if !seen {
			p.shot("failed")
			p.quiet()
			p.Logf("%s shows:\n%s", p.name, evaluate[string](p, "document.body.innerText"))
		}
	}()
	eventually.True(p, p.name+" shows "+what, func() bool {
		seen = evaluate[bool](p, "Boolean("+script+")")
		return seen
	})
}

// has waits until an element holds a text.
func (p *tab) has(selector, text string) {
	p.Helper()
	want, _ := json.Marshal(text)
	p.sees(text+" in "+selector, fmt.Sprintf("[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%s))", selector, want))
}

func (p *tab) click(selector string) {
	p.Helper()
	p.do("click "+selector, chromedp.WaitVisible(chromedp.CSS(selector)), chromedp.Click(chromedp.CSS(selector)))
}

// answer types into the question that is open, or nothing, and confirms it.
func (p *tab) answer(title, typed string) {
	p.Helper()
	p.sees("the question "+title, fmt.Sprintf("document.querySelector('#ask').open && document.querySelector('#ask-title').textContent.includes(%q)", title))
	if typed != "" {
		p.do("type", chromedp.Clear(chromedp.CSS("#ask-input")), chromedp.SendKeys(chromedp.CSS("#ask-input"), typed))
	}
	p.click("#ask-yes")
	p.sees("no question any more", "!document.querySelector('#ask').open")
}

// shot keeps a screenshot of the whole page.
func (p *tab) shot(what string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_ = chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void]("scrollTo(0, 0)")) // else the header is in the middle
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	path := filepath.Join(p.dir, "dashboard-"+p.name+"-"+what+".png")
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		p.Errorf("cannot keep a screenshot: %v", err)
	}
}

// quiet fails the test if the console has errors.
func (p *tab) quiet() {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range slicesWithout(p.errors, "grep=%5B") { // asked for by keyboard, and told by the browser itself, perhaps late
		p.Errorf("%s: console: %s", p.name, e)
	}
}

// faint lists texts whose contrast is under what WCAG 2.2 asks for at level AA (1.4.3):
// 4.5 to 1, and 3 to 1 for large text.
const faint = `(() => {
  const parse = (c) => { const m = c.match(/^rgba?\(([^)]+)\)/); return m ? m[1].split(/[ ,/]+/).map(Number) : null; };
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const back = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (!c) return null; if (c.length < 4 || c[3] === 1) return c; if (c[3] > 0) return null; } return [255, 255, 255]; };
  const found = new Set();
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    if (e.closest(".hidden, .skip, noscript, dialog:not([open])") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), fore = parse(e instanceof SVGElement ? style.fill : style.color), behind = back(e);
    if (!fore || !behind) continue;
    const [a, b] = [light(fore), light(behind)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.add(ratio.toFixed(2) + " " + e.tagName + "." + (e.className.baseVal ?? e.className) + " " + e.textContent.trim().slice(0, 40));
  }
  return [...found].join("\n");
})()`

// nameless lists what can be operated but has no name.
const nameless = `[...document.querySelectorAll("button, input, select, a, [tabindex='0']")].filter((e) => e.getClientRects().length &&
  !(e.textContent.trim() || e.ariaLabel || e.getAttribute("aria-labelledby") || e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML).join("\n")`

func (p *tab) accessible(theme string) {
	p.Helper()
	if text := evaluate[string](p, faint); text != "" {
		p.Errorf("%s: contrast in %s:\n%s", p.name, theme, text)
	}
	if text := evaluate[string](p, nameless); text != "" {
		p.Errorf("%s: without a name:\n%s", p.name, text)
	}
	if over := evaluate[float64](p, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		p.Errorf("%s: the page is %v pixels too wide in %s", p.name, over, theme)
	}
}

func (p *tab) prefers(theme string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
	})
	if err != nil {
		p.Fatalf("cannot prefer %s: %v", theme, err)
	}
}

// TestDashboardInBrowser is a person at the page of a real master: reads it, is asked
// for the token, reloads, scales, drains and starts, and watches a crash and a
// broadcast, at a desk and on a phone.
func TestDashboardInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: dashboard in a browser: -short")
	}
	t.Parallel()
	browser := openBrowser(t)
	dir := folder(t)
	write(t, dir, "token", dashboardToken+"\n")
	if err := os.Chmod(filepath.Join(dir, "token"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "api.sh", good)
	write(t, dir, "tine.yaml", `
name: shop
dashboard: {listen: "127.0.0.1:0", token_file: token}
apps:
  web:
    command: [$MEMBER]
    listen: ["127.0.0.1:0"]
    workers: 2
    $FAST
  api:
    command: [sh, api.sh]
    listen: ["127.0.0.1:0"]
    workers: 1
    $FAST
`)
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	page := m.await(is("dashboard"))
	var at struct{ Address string }
	if err := json.Unmarshal([]byte(page.Raw), &at); err != nil || at.Address == "" {
		t.Fatalf("no address in %s", page.Raw)
	}
	url := "http://" + at.Address + "/"
	client := control.NewClient(socketIn(dir))
	t.Cleanup(client.Close)

	for _, size := range []struct {
		name          string
		width, height int64
		options       []chromedp.EmulateViewportOption
		workers       int // to scale to
	}{
		{"1280", 1280, 900, nil, 4},
		{"390", 390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait}, 3},
	} {
		t.Run(size.name, func(t *testing.T) {
			// A little load, so that the charts are not empty.
			l := loadOn(m.addresses("web")[0], 1)
			defer l.end()
			p := openTab(t, browser, size.name, size.width, size.height, size.options...)
			p.prefers("light")
			visit(p, m, client, url, size.workers)
			p.quiet()
		})
	}
	m.stop()
}

const (
	web    = `article[data-app="web"] `
	appAPI = `article[data-app="api"] `

	good = "exec $MEMBER" // what api runs
)

func visit(p *tab, m *tine, client *control.Client, url string, workers int) {
	p.do("open the page", chromedp.Navigate(url))
	p.has(web+".title", "running")
	p.has("#link", "live")
	p.has("#name", "shop")
	p.sees("requests per second", "parseFloat(document.querySelector('#rate .value').textContent) > 0")
	p.sees("a line in each chart", "document.querySelectorAll('.chart .line').length >= 6")
	p.has("#logs", "tine")
	measure(p)
	p.accessible("light")
	p.shot("light")

	// Read only until the token is given.
	if evaluate[bool](p, "[...document.querySelectorAll('[data-verb]')].some((b) => b.getClientRects().length > 0)") {
		p.Error("there are orders without a token")
	}
	p.click("#unlock")
	p.sees("the question for the token", "document.querySelector('#ask').open")
	p.do("type", chromedp.SendKeys(chromedp.CSS("#ask-input"), "not-the-token-at-all"))
	p.click("#ask-yes")
	p.has("#ask-problem", "not the token")
	p.answer("Unlock", dashboardToken)
	p.has("#unlock", "Lock orders")
	if evaluate[bool](p, "document.cookie !== '' || JSON.stringify(localStorage).includes('a-token')") {
		p.Error("the token is kept where it should not be")
	}

	// A question that is answered with no changes nothing.
	mark := m.mark()
	p.click(web + `[data-verb="reload"]`)
	p.sees("the question", "document.querySelector('#ask').open")
	p.click("#ask-no")
	p.sees("no question", "!document.querySelector('#ask').open")

	p.click(web + `[data-verb="reload"]`)
	p.answer("Reload web?", "")
	m.awaitFrom(mark, is("rollout done"))
	p.has(web+".order", "reload")
	p.has("#timeline", "rollout done")
	if n := len(m.since(mark, is("rollout begin"))); n != 1 {
		p.Errorf("%d rollouts began, want 1", n)
	}
	p.shot("reload")

	p.click(web + `[data-verb="scale"]`)
	p.answer("Scale web", fmt.Sprint(workers))
	p.has(web+".title", fmt.Sprintf("%d of %d ready", workers, workers))
	p.has("#timeline", "scaled")
	p.shot("scale")

	// A crash: the slot gets a new worker, and the timeline shows the crash.
	mark = m.mark()
	victim := m.workers("web")[0]
	syscall.Kill(victim, syscall.SIGKILL)
	m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.App == "web" })
	p.has(`#timeline [data-kind="exited"]`, "SIGKILL")
	p.has(web+`.tile[data-slot="0"]`, "before: SIGKILL")
	p.has(web+".facts", "crash")
	p.sees("that crash among the app's", "!document.querySelector(`"+web+".facts`).textContent.includes('0 crashes')")
	p.shot("crash")

	// A broadcast.
	epoch, err := client.SetValue(p.ctx, "price", []byte(`{"of":"`+p.name+`"}`))
	if err != nil {
		p.Fatal(err)
	}
	p.has(`#cache tr[data-key="price"]`, fmt.Sprint(epoch))
	p.has(`#timeline [data-kind="value set"]`, "price")
	p.shot("broadcast")

	// One slot out, and in again.
	last := fmt.Sprintf(`%s.tile[data-slot="%d"] `, web, workers-1)
	p.click(last + `[data-verb="drain"]`)
	p.answer("Drain slot", "")
	p.has(last, "drained")
	p.shot("drain")
	p.click(last + `[data-verb="start"]`)
	p.answer("Start slot", "")
	p.has(last, "ready")

	// A reload that fails shows the reason.
	write(p.T, m.dir, "api.sh", "echo broken on purpose >&2; exit 3")
	p.click(appAPI + `[data-verb="reload"]`)
	p.answer("Reload api?", "")
	p.has(appAPI+".order pre", "broken on purpose")
	p.has("#timeline", "rollout aborted")
	p.has(appAPI+".title", "1 of 1 ready")
	p.shot("aborted")
	p.click(appAPI + ".order button")
	p.sees("no result any more", "!document.querySelector('#apps .order[data-look=bad]')")
	write(p.T, m.dir, "api.sh", good)

	keyboard(p)
	p.prefers("dark")
	p.sees("the dark theme", `getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"`)
	p.accessible("dark")
	p.shot("dark")
	p.click("#theme")
	p.sees("the light theme, by choice", `getComputedStyle(document.body).backgroundColor === "rgb(244, 246, 248)"`)
	p.do("forget the choice", chromedp.Evaluate[chromedp.Void](`localStorage.removeItem("tine-theme"); delete document.documentElement.dataset.theme`))
	hidden(p)
}

func keyboard(p *tab) {
	p.do("leave the field", chromedp.Evaluate[chromedp.Void]("document.activeElement.blur()"))
	p.do("press", chromedp.KeyEvent("?"))
	p.sees("the keys", "document.querySelector('#help').open")
	p.do("press", chromedp.KeyEvent(kb.Escape))
	p.sees("no keys any more", "!document.querySelector('#help').open")
	p.do("press", chromedp.KeyEvent("2"))
	p.sees("only the second app", "document.querySelectorAll('#apps article').length === 1 && document.querySelector('#apps article').dataset.app === 'api'")
	p.do("press", chromedp.KeyEvent("0"))
	p.sees("both apps", "document.querySelectorAll('#apps article').length === 2")
	p.do("press", chromedp.KeyEvent("/"))
	p.sees("the filter", "document.activeElement.id === 'grep'")
	p.do("filter", chromedp.KeyEvent("no line has this"))
	p.sees("no line", "document.querySelector('#logs').textContent.includes('No line yet')")
	p.do("filter", chromedp.Evaluate[chromedp.Void](`(() => { const g = document.querySelector("#grep"); g.value = "["; g.dispatchEvent(new Event("input")); })()`))
	p.sees("what is wrong with the filter", "!document.querySelector('#logs-problem').hidden")
	p.do("filter", chromedp.Evaluate[chromedp.Void](`(() => { const g = document.querySelector("#grep"); g.value = ""; g.dispatchEvent(new Event("input")); g.blur(); })()`))
	p.sees("lines again", "document.querySelector('#logs').childElementCount > 1 && document.querySelector('#logs-problem').hidden")
	p.do("press", chromedp.KeyEvent("r"))
	p.sees("the question", "document.querySelector('#ask').open")
	p.do("press", chromedp.KeyEvent(kb.Escape))
	p.sees("no question", "!document.querySelector('#ask').open")
}

func slicesWithout(all []string, part string) (kept []string) {
	for _, s := range all {
		if !strings.Contains(s, part) {
			kept = append(kept, s)
		}
	}
	return kept
}

// hidden checks that the page asks for nothing while it is hidden.
func hidden(p *tab) {
	p.do("hide", chromedp.Evaluate[chromedp.Void](`(() => {
		window.seen = "hidden";
		Object.defineProperty(document, "visibilityState", { get: () => window.seen, configurable: true });
		document.dispatchEvent(new Event("visibilitychange"));
		performance.clearResourceTimings();
	})()`))
	const asked = "performance.getEntriesByType('resource').filter((e) => e.name.includes('/v1/status')).length"
	time.Sleep(2500 * time.Millisecond)      // that nothing happens has no event
	if n := evaluate[int](p, asked); n > 1 { // one was under way
		p.Errorf("%s: the hidden page asked %d times", p.name, n)
	}
	p.do("show", chromedp.Evaluate[chromedp.Void](`window.seen = "visible"; document.dispatchEvent(new Event("visibilitychange"))`))
	p.sees("the status again", asked+" >= 2")
}

// measure logs what the page weighs and how soon it is there. These depend on the
// machine: they are not judged.
func measure(p *tab) {
	type numbers struct{ Paint, Bytes, Files, Outside float64 }
	n := evaluate[numbers](p, `(() => {
		const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].filter((e) => !/\/(v1|access)/.test(new URL(e.name).pathname));
		return {
			Paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1,
			Bytes: all.reduce((sum, e) => sum + e.decodedBodySize, 0), Files: all.length,
			Outside: all.filter((e) => new URL(e.name).origin !== location.origin).length,
		};
	})()`)
	p.Logf("dashboard at %s: %.0f bytes in %.0f files, first contentful paint after %.0f ms", p.name, n.Bytes, n.Files, n.Paint)
	if n.Outside > 0 {
		p.Errorf("%v requests went elsewhere", n.Outside)
	}
}
