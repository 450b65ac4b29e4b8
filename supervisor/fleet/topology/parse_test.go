package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/config"
)

// document is the file of the Pinus tutorial, to the letter.
func document(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/servers.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestDocument: the file of the tutorial loads as it is, in its order, and its gate needs no port.
func TestDocument(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"development", "production"} {
		table, err := Parse("servers.json", document(t), env)
		if err != nil || len(table.Warnings) > 0 {
			t.Fatalf("%s: %v, warnings %v", env, err, table.Warnings)
		}
		var got []string
		for _, m := range table.Members {
			if err := m.Check(); err != nil {
				t.Error(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s %s client=%s frontend=%t", m.Env, m.Type, m.ID, m.Address, m.ClientAddress, m.Frontend))
		}
		want := strings.ReplaceAll(`ENV connector connector-server-1 127.0.0.1:4050 client=127.0.0.1:3050 frontend=true
ENV connector connector-server-2 127.0.0.1:4051 client=127.0.0.1:3051 frontend=true
ENV connector connector-server-3 127.0.0.1:4052 client=127.0.0.1:3052 frontend=true
ENV chat chat-server-1 127.0.0.1:6050 client= frontend=false
ENV chat chat-server-2 127.0.0.1:6051 client= frontend=false
ENV chat chat-server-3 127.0.0.1:6052 client= frontend=false
ENV gate gate-server-1 127.0.0.1:3014 client=127.0.0.1:3014 frontend=true`, "ENV", env)
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("got\n%s\nwant\n%s", text, want)
		}
	}
}

// TestEnvironment: it is chosen by its name or by a pattern, and a name that is not there is an error with the nearest.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const server = `[{"id":"%s","host":"h","port":%d}]`
	list := func(id string, port int) string { return fmt.Sprintf(server, id, port) }
	both := `{"production|development":{"chat":` + list("a", 1) + `},"production":{"area":` + list("b", 2) + `}}`
	for _, c := range []struct{ text, env, want string }{
		{both, "production", "a b"},
		{both, "development", "a"},
		{both, "prodution", `the environment "prodution" is not in the file: did you mean production? its environments are production|development, production`},
		{both, "", "the file has the environments production|development, production: choose one with env"},
		{`{"staging":{"chat":` + list("c", 3) + `}}`, "", "c"},
		{`{"chat":` + list("d", 4) + `}`, "production", "d"},
		{`{"chat":` + list("d", 4) + `,"production":{}}`, "production", "chat is a list of servers, and production is not"},
		{`{"production":{"chat":` + list("e", 5) + `},"other":{"chat":[{"no":1}]}}`, "production", "e"},
	} {
		table, err := Parse("servers.json", []byte(c.text), c.env)
		var got []string
		for _, m := range table.Members {
			got = append(got, m.ID)
			if err == nil && m.Env != table.Environment {
				t.Errorf("%s: %s is of %q, the table of %q", c.text, m.ID, m.Env, table.Environment)
			}
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, c.want) || err == nil && text != c.want {
			t.Errorf("%s in %s: got %s, want %s", c.env, c.text, text, c.want)
		}
	}
	for pattern, want := range map[string]bool{"production|development": true, " production ": true, "prod": false, "production-2|x": false} {
		if Matches(pattern, "production") != want {
			t.Errorf("%q", pattern)
		}
	}
}

// TestWrong: what is wrong is told with line, column, what was expected and the nearest word.
func TestWrong(t *testing.T) {
	t.Parallel()
	in := func(servers string) string { return "{\"production\": {\n\"chat\": [\n" + servers + "\n]}}" }
	for name, c := range map[string]struct{ text, want string }{
		"id twice": {
			in("{\"id\": \"a\", \"host\": \"h\", \"port\": 1},\n  {\"id\": \"a\", \"host\": \"h\", \"port\": 2}"),
			`servers.json:4:10: production.chat[1].id: "a" is there twice: first in line 3`,
		},
		"no port":          {in(`{"id":"a","host":"h"}`), `servers.json:3:1: production.chat[0].port: is missing: 1 to 65535 is expected: only a frontend may have clientPort alone`},
		"port misspelt":    {in(`{"id":"a","host":"h","prot":1}`), `is expected: only a frontend may have clientPort alone; "prot" may be meant`},
		"no client port":   {in(`{"id":"a","host":"h","port":1,"frontend":true}`), `.clientPort: is missing: 1 to 65535 is expected: clients are sent to it, as frontend is true`},
		"no frontend":      {in(`{"id":"a","host":"h","port":1,"clientPort":2}`), `servers.json:3:44: production.chat[0].clientPort: clients are sent to frontends only: add "frontend": true, or remove clientPort`},
		"client host":      {in(`{"id":"a","host":"h","port":1,"clientHost":"x"}`), `.clientHost: clients are sent to frontends only`},
		"no host":          {in(`{"id":"a","port":1}`), `.host: is missing: a name or an IP is expected`},
		"no id":            {in(`{"host":"h","port":1}`), `.id: is missing: a name that no other server`},
		"port as text":     {in(`{"id":"a","host":"h","port":"1"}`), `.port: "1" is a text: a number from 1 to 65535 is expected, without quotes`},
		"port counts":      {in(`{"id":"a","host":"h","port":"4050++","clusterCount":3}`), `"4050++" counts up with clusterCount, which is not read: write each server with its own port`},
		"port 0":           {in(`{"id":"a","host":"h","port":0}`), `.port: 0 is not a number from 1 to 65535`},
		"port 65536":       {in(`{"id":"a","host":"h","port":65536}`), `65536 is not a number`},
		"port is a list":   {in(`{"id":"a","host":"h","port":[1]}`), `.port: a number from 1 to 65535 is expected`},
		"half a port":      {in(`{"id":"a","host":"h","port":1.5}`), `1.5 is not a number`},
		"blank host":       {in(`{"id":"a","host":"h h","port":1}`), `"h h" is not a name: a text without blanks is expected`},
		"frontend as text": {in(`{"id":"a","host":"h","port":1,"frontend":"true"}`), `.frontend: true or false is expected`},
		"weight":           {in(`{"id":"a","host":"h","port":1,"weight":-1}`), `.weight: a number from 0 to 1e+06 is expected`},
		"key twice":        {in(`{"id":"a","id":"b","host":"h","port":1}`), `.id: is there twice: first in line 3`},
		"server is a text": {in(`"a"`), `production.chat[0]: an object, which is a server is expected, and this is "\"a\""`},
		"type is an object": {
			`{"production":{"chat":{"id":"a"}}}`, `servers.json:1:23: production.chat: a list of servers is expected, and this is "{\"id\":\"a\"}"`,
		},
		"a column in characters": {in(`{"id":"用户","host":"h","port":0}`), `servers.json:3:30: production.chat[0].port: 0 is`},
		"empty":                  {" \n", `servers.json:1:1: empty server configs: the file is empty`},
		"no environment":         {`{}`, `empty server configs: no server is there`},
		"no server":              {`{"production":{"chat":[]}}`, `servers.json:1:1: production: empty server configs: no server is there`},
		"half":                   {`{"production":{"chat":[{"id":"a",`, `the file ends too early, as one that is being written does`},
		"not JSON":               {"{\"production\":\n{chat:[]}}", `servers.json:2:2: the file is not JSON: invalid character 'c'`},
		"something behind":       {in(`{"id":"a","host":"h","port":1}`) + "\n}", `servers.json:5:1: something follows the end of the object`},
		"a list":                 {`[]`, `an object of environments is expected`},
	} {
		_, err := Parse("servers.json", []byte(c.text), "production")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, c.want)
		}
		if all := (*config.Problems)(nil); !errors.As(err, &all) {
			t.Errorf("%s: a %T", name, err)
		}
	}
	_, err := Parse("servers.json", []byte(in(strings.Repeat(`{"id":"a"},`, 30)+`{"id":"a"}`)), "production")
	if all := (*config.Problems)(nil); !errors.As(err, &all) || len(all.Errors) != 20 || all.More != 42 {
		t.Errorf("of many faults 20 are told: %v", err)
	}
}

// TestWarnings: a field that is not known does not keep the file from being used; those with which Pinus starts a server say nothing.
func TestWarnings(t *testing.T) {
	t.Parallel()
	table, err := Parse("servers.json", []byte(`{"production":{"chat":[
{"id":"a","host":"h","port":1,"args":"--inspect","auto-restart":true,"wieght":2,"colour":{"x":[1]}},
{"id":"b","host":"h","port":1,"clientHost":"public","clientPort":3,"frontend":true,"weight":0.5,"max_in_flight":4,"zone":"z"}]}}`), "production")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`servers.json:2:70: production.chat[0].wieght: unknown field: did you mean weight?`,
		`servers.json:2:81: production.chat[0].colour: unknown field: the fields are id, host`,
		`servers.json:3:1: production.chat[1]: b has the address of a, h:1`,
	}
	if len(table.Warnings) != len(want) {
		t.Fatalf("got %v", table.Warnings)
	}
	for i, w := range want {
		if got := table.Warnings[i].Summary(); !strings.HasPrefix(got, w) {
			t.Errorf("got %s, want %s", got, w)
		}
	}
	b := members.Member{
		ID: "b", Type: "chat", Env: "production", Zone: "z", Address: "h:1", ClientAddress: "public:3", Frontend: true,
		Weight: 0.5, MaxInFlight: 4, State: members.Ready,
	}
	if len(table.Members) != 2 || table.Members[1] != b {
		t.Errorf("got %+v", table.Members)
	}
}

func many(t testing.TB, n int) []byte {
	t.Helper()
	var all []map[string]any
	for i := range n {
		all = append(all, map[string]any{"id": fmt.Sprint("connector-server-", i), "host": "10.0.0.1", "port": 1000 + i, "clientPort": 20000 + i, "frontend": true})
	}
	text, err := json.MarshalIndent(map[string]any{"production": map[string]any{"connector": all}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestThousand: 1,000 servers load in less than 50 ms; the fastest of a few runs counts, as other tests use the machine too. The race
// detector makes it several times slower.
func TestThousand(t *testing.T) {
	text, best := many(t, 1000), time.Hour
	for range 5 {
		start := time.Now()
		table, err := Parse("servers.json", text, "production")
		if err != nil || len(table.Members) != 1000 {
			t.Fatalf("%d members: %v", len(table.Members), err)
		}
		best = min(best, time.Since(start))
	}
	t.Logf("%d bytes in %s", len(text), best)
	if best > 50*time.Millisecond && !withRace {
		t.Errorf("1,000 servers took %s", best)
	}
}

func BenchmarkThousand(b *testing.B) {
	text := many(b, 1000)
	for b.Loop() {
		if _, err := Parse("servers.json", text, "production"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse: any text is an error with a place in it, or a table of members that a gateway takes.
func FuzzParse(f *testing.F) {
	f.Add(document(f), "production")
	f.Add([]byte(`{"chat":[{"id":"a","host":"h","port":1}]}`), "")
	f.Add([]byte(`{"a":{"chat":[{"id":"a",,`), "a|b")
	f.Fuzz(func(t *testing.T, text []byte, env string) {
		table, err := Parse("f", text, env)
		if all := (*config.Problems)(nil); errors.As(err, &all) {
			for _, p := range all.Errors {
				if p.Line < 1 || p.Column < 1 {
					t.Fatalf("no place: %+v", p)
				}
			}
			return
		} else if err != nil {
			t.Fatal(err)
		}
		coded, err := members.Encode(members.Table{Members: table.Members})
		if err == nil {
			_, err = members.Decode(coded)
		}
		if err != nil || len(table.Members) == 0 {
			t.Fatalf("%v: %+v", err, table)
		}
	})
}
