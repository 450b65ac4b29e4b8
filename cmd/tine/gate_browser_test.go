//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestGatewaysInBrowser is a person at the page of a master with a gateway: members with their state and why, what they are picked, the last
// requests; and nothing that a member or a client says becomes part of the page's markup.
func TestGatewaysInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: gateways in a browser: -short")
	}
	t.Parallel()
	browser := openBrowser(t)
	backend := newBackend(t, 1)
	const evil = `/<img src=x onerror=document.title=1>`
	dir := folder(t)
	write(t, dir, "tine.yaml", fmt.Sprintf(`
name: shop
dashboard: {listen: "127.0.0.1:0"}
apps:
  web:
    command: [$MEMBER]
    workers: 1
    listen: 127.0.0.1:0
    $CALM
  gate:
    gateway: {members: ["%s", "127.0.0.1:1", "%s"], pick: least, history: 50}
    listen: 127.0.0.1:0
    workers: 2
    $CALM
`, backend.address(), evil))
	m := startIn(t, dir, []string{"run", "-c", "tine.yaml"})
	m.await(is("all workers are ready"))
	page := m.await(is("dashboard"))
	var at struct{ Address string }
	if err := json.Unmarshal([]byte(page.Raw), &at); err != nil || at.Address == "" {
		t.Fatalf("no address in %s", page.Raw)
	}
	get := func(id string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, "http://"+m.addresses("gate")[0]+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Request-Id", id)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	for i := range 5 {
		get(fmt.Sprint("<b>order-", i, "</b>"))
	}
	p := openTab(t, browser, "gateways", 1280, 900)
	p.prefers("light")
	p.do("open the page", chromedp.Navigate("http://"+at.Address+"/"))
	const gate = `article[data-gateway="gate"] `
	p.has(gate+".facts", "picked by least")
	p.has(gate+`tr[data-member="`+backend.address()+`"]`, "ready")
	p.has(gate+"td", evil)
	p.sees("the member that refuses, and why", `[...document.querySelectorAll('`+gate+`tr[data-member]')].some((e) => e.textContent.includes("down") && e.textContent.includes("refused"))`)
	p.has(gate+".title", "1 of 3 members ready")
	p.has(gate+".last", "order-4")
	p.has(gate+".facts", "5 requests")
	get("one-more")
	p.has(gate+".last", "one-more")
	if evaluate[bool](p, `document.querySelector("img[onerror], .last b") !== null || document.title === "1"`) {
		p.Error("what a member or a client says is part of the markup")
	}
	p.accessible("light")
	p.shot("light")
	p.prefers("dark")
	p.sees("the dark theme", `getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"`)
	p.accessible("dark")
	p.do("show web alone", chromedp.Evaluate[chromedp.Void](`(() => { const s = document.querySelector("#app"); s.value = "web"; s.dispatchEvent(new Event("change")); })()`))
	p.sees("no gateway", `document.querySelector("#gateways").hidden`)

	phone := openTab(t, browser, "gateways-390", 390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	phone.prefers("light")
	phone.do("open the page", chromedp.Navigate("http://"+at.Address+"/"))
	phone.has(gate+".title", "1 of 3 members ready")
	phone.accessible("light")
	phone.shot("light")
	phone.quiet()
	p.quiet()
	m.stop()
}
