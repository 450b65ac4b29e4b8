package k2

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// imported is the config of a text, with the notes behind it.
func imported(t *testing.T, text string) string {
	t.Helper()
	out, notes, err := Import(written(t, text), Options{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return string(out) + "\n" + strings.Join(notes, "\n")
}

func written(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k2.config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// document is the section of which the documentation of K2 has the lines.
const document = `<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <loadBalancer requestTimeout="1s" validTimeout="1000" maxHistoryCount="100" preLoadingEnabled="true">
    <appServers>
      <add server="." pipe="ScriptService"/>
      <add server="as2" pipe="ScriptService"/>
    </appServers>
    <multiplier>
      <add uid="bscSystemCPUAvg" value="1"/>
      <add uid="bscAppPoolSpandAvg" value="0.5"/>
      <add uid="bscSystemFreeMemory" value="0"/>
    </multiplier>
  </loadBalancer>
</configuration>`

// TestDocument: the same settings as XML, as the two lines of the documentation, and as JSON make the same gateway.
func TestDocument(t *testing.T) {
	t.Parallel()
	want := []string{
		`"127.0.0.1:80": "127.0.0.1:80"`, `"as2:80": "as2:80"`, "pick: score", "multipliers: {cpu_used: 1, memory_free: 0, queue_wait_ms: 0.5}", "mode: continuous",
		`url: "http://{address}/statistics"`, "cpu_used: bscSystemCPUAvg", "queue_wait_ms: bscAppPoolSpandAvg", "request_timeout: 1s", "valid_timeout: 1s", "history: 100",
		"members: K2 reaches a server by a named pipe", "raw: true adds them as K2 does",
	}
	for name, text := range map[string]string{
		"xml": document,
		"settings": `<appSettings><add key="requestTimeout" value="1000ms"/><add key="validTimeout" value="1s"/><add key="MaxHistoryCount" value="100"/>
			<add key="preLoadingEnabled" value="True"/></appSettings>
			<add server="." pipe="ScriptService"/><add server="as2" pipe="ScriptService"/>
			<add uid="bscSystemCPUAvg" value="1"/><add uid="bscAppPoolSpandAvg" value="0,5"/><add uid="bscsystemfreememory" value="0"/>`,
		"elements": `<loadBalancer><requestTimeout>1000</requestTimeout><validTimeout> 1000ms </validTimeout><maxHistoryCount>100</maxHistoryCount>
			<preLoadingEnabled>true</preLoadingEnabled>` + document[strings.Index(document, "<appServers>"):strings.Index(document, "</loadBalancer>")] + `</loadBalancer>`,
		"json": `{"LoadBalancer": {"requestTimeout": "1s", "validTimeout": 1000, "maxHistoryCount": 100, "preLoadingEnabled": true,
			"appServers": [{"server": ".", "pipe": "ScriptService"}, {"server": "as2", "pipe": "ScriptService"}],
			"multiplier": [{"uid": "bscSystemCPUAvg", "value": 1}, {"uid": "bscAppPoolSpandAvg", "value": "0.5"}, {"uid": "bscSystemFreeMemory", "value": 0}]}}`,
		"json by key": `{"requestTimeout": 1000, "validTimeout": "1000ms", "maxHistoryCount": "100", "preLoadingEnabled": "true", "appServers": [".", {"server": "as2"}],
			"multiplier": {"bscSystemCPUAvg": 1, "bscAppPoolSpandAvg": 0.5, "bscSystemFreeMemory": 0}}`,
	} {
		got := imported(t, text)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %s in\n%s", name, w, got)
			}
		}
	}
}

// TestDefaults: what is not said is K2's default, and what K2 has none for is noted.
func TestDefaults(t *testing.T) {
	t.Parallel()
	got := imported(t, `<add server="as1" pipe="a"/>`)
	for _, w := range []string{"mode: on-request", "request_timeout: 1s", "multipliers: {}", "multiplier: none is above 0, and K2 has no default", "sessions: bscAppNCLSessions", "queue_wait_ms: bscAppPoolSpanAvg"} {
		if !strings.Contains(got, w) {
			t.Errorf("no %s in\n%s", w, got)
		}
	}
	for _, not := range []string{"valid_timeout", "history:", "raw: true\n"} {
		if strings.Contains(got, not) {
			t.Errorf("%s in\n%s", not, got)
		}
	}
	got = imported(t, `{"multiplier": {"bscSystemFreeMemory": -0.001, "bscAppPoolSpanAvg": 1}, "preLoadingEnabled": true, "validTimeout": 1, "maxHistoryCount": 1000000}`)
	for _, w := range []string{"raw: true\n", "memory_free: -0.001, queue_wait_ms: 1", "queue_wait_ms: bscAppPoolSpanAvg", "appServers: there is none: it is this machine", "valid_timeout: 10ms", "history: 10000",
		"validTimeout: 1ms is out of range"} {
		if !strings.Contains(got, w) {
			t.Errorf("no %s in\n%s", w, got)
		}
	}
}

// TestPipes: servers that differ by their pipes alone are told apart, and it is said that each needs a port of its own.
func TestPipes(t *testing.T) {
	t.Parallel()
	got := imported(t, `<add server="as" pipe="a"/><add server="as" pipe="b"/><add server="as" pipe="b"/><add server="other:8080"/>`)
	for _, w := range []string{`"as/a": "as:80"`, `"as/b": "as:80"`, `"other:8080": "other:8080"`, "write the port of each", "appServers: as/b is there twice"} {
		if !strings.Contains(got, w) {
			t.Errorf("no %s in\n%s", w, got)
		}
	}
	if strings.Count(got, `"as/b": `) != 1 {
		t.Error(got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":     "it is empty",
		"host": "it is neither XML nor JSON",
		"<a>\n<add uid=\"bscSystemCPUAvgg\" value=\"1\"/>": `line 2: K2 has no statistic "bscSystemCPUAvgg": did you mean bscSystemCPUAvg?`,
		`<add uid="load" value="1"/>`:                      `line 1: K2 has no statistic "load": there are bscSystemCPUAvg, bscSystemFreeMemory`,
		`<add uid="bscSystemCPUAvg" value="much"/>`:        `the multiplier of bscSystemCPUAvg is "much"`,
		`<add server="" pipe="a"/>`:                        "a server has no name",
		`<add server="a b"/>`:                              `"a b" is not the name`,
		"<a>\n<b>":                                         "line 2: it is not XML",
		`<add key="requestTimeout" value="soon"/>`:         `line 1: requestTimeout: "soon" is not a duration`,
		`<add key="requestTimeout" value="-1"/>`:           "is not a duration",
		`<lb preLoadingEnabled="perhaps"/>`:                `"perhaps" is neither true nor false`,
		`<lb maxHistoryCount="-1"/>`:                       `"-1" is not a count`,
		"{\n\n\"multiplier\": {\"bscAppNCLSesions\": 1}}":  `line 3: K2 has no statistic "bscAppNCLSesions": did you mean bscAppNCLSessions?`,
		"{\n\"a\": }":                                      "line 2: it is not JSON",
		`{"a": [1, `:                                       "it is not JSON: unexpected EOF",
		`{} {}`:                                            "there is something behind its end",
		`{"appServers": [{"server": {}}]}`:                 "server is neither a text nor a number",
		strings.Repeat("[", 1000):                          "it is nested more than 100 times",
		`<?xml version="1.0" encoding="utf-16"?><a/>`:      "save it as UTF-8 first",
	} {
		if out, _, err := Import(written(t, text), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q\n%s", text, err, want, out)
		}
	}
	if _, _, err := Import(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"1s": time.Second, "1000": time.Second, "1000ms": time.Second, "0": 0, "1.5": 1500 * time.Microsecond, "2 s": 2 * time.Second} {
		if got, err := duration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

// FuzzImport makes of each text either an error or a config.
func FuzzImport(f *testing.F) {
	f.Add(document)
	f.Add(`{"multiplier": {"bscSystemFreeMemory": -1}, "appServers": ["a${B}", "[::1]:80"], "validTimeout": 1e300}`)
	path := filepath.Join(f.TempDir(), "k2")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, notes, err := Import(path, Options{})
		if err == nil && (len(notes) == 0 || !strings.Contains(string(out), "\napps:\n")) {
			t.Errorf("%s", out)
		}
	})
}
