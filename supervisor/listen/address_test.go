package listen

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Address
	}{
		{":7000", Address{Network: "tcp", Addr: ":7000"}},
		{":0", Address{Network: "tcp", Addr: ":0"}},
		{"127.0.0.1:7000", Address{Network: "tcp", Addr: "127.0.0.1:7000"}},
		{"localhost:7000", Address{Network: "tcp", Addr: "localhost:7000"}},
		{"[::1]:7000", Address{Network: "tcp", Addr: "[::1]:7000"}},
		{"[fe80::1%lo]:7000", Address{Network: "tcp", Addr: "[fe80::1%lo]:7000"}},
		{"tcp://:7000", Address{Network: "tcp", Addr: ":7000"}},
		{"tcp4://:7000", Address{Network: "tcp4", Addr: ":7000"}},
		{"tcp6://[::]:7000", Address{Network: "tcp6", Addr: "[::]:7000"}},
		{"unix:/run/x.sock", Address{Network: "unix", Addr: "/run/x.sock"}},
		{"unix:///run/x.sock", Address{Network: "unix", Addr: "/run/x.sock"}},
		{"unix:run/../x.sock", Address{Network: "unix", Addr: "x.sock"}},
		{"unix:/run/x.sock?mode=0660", Address{Network: "unix", Addr: "/run/x.sock", Mode: 0o660}},
		{"unix:/x?group=g&mode=0640&user=7", Address{Network: "unix", Addr: "/x", Mode: 0o640, User: "7", Group: "g"}},
		{"unix:/x?group=www-data", Address{Network: "unix", Addr: "/x", Group: "www-data"}},
	} {
		got, err := Parse(c.in)
		if err != nil || got != c.want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
			continue
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("Parse(%q) = %+v, %v; want what String was made of: %+v", got.String(), again, err, got)
		}
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "missing port",
		"7000":                      `":7000"`,
		"localhost":                 "missing port",
		":http":                     `port "http" is not a number`,
		":65536":                    `port "65536" is not a number from 0 to 65535`,
		":-1":                       "is not a number",
		"::1:7000":                  "too many colons",
		"udp://:53":                 `unknown network "udp"`,
		"http://x:80":               `unknown network "http"`,
		"tcp4://[::1]:1":            "not an IPv4 address",
		"tcp6://127.0.0.1:1":        "not an IPv6 address",
		"a b:80":                    "neither an IP address nor a host name",
		"unix:":                     "the path is empty",
		"unix:/run/":                "unix",
		"unix:@x":                   "abstract",
		"unix:/x?mode=9":            "mode=0660",
		"unix:/x?mode=0":            "mode=0660",
		"unix:/x?mode=01777":        "mode=0660",
		"unix:/x?grp=me":            "there is no option \"grp\"",
		"unix:/x?user=":             "user=NAME",
		"unix:/x?":                  "there is no option",
		"unix:/x?user=a&user=b":     "user is given twice",
		"unix:/x|0660":              "?mode=0660, not |0660",
		"unix:/x|222?group=g":       "?mode=0222",
		"tcp6://[::ffff:1.2.3.4]:1": "not an IPv6 address",
		"unix:/" + long(maxPath):    "has 104 bytes",
	} {
		_, err := Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "expected :PORT") {
			t.Errorf("Parse(%q): error %v; want it to contain %q and what is expected", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("Parse(%q): the error has more than one line: %q", in, err)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func FuzzParse(f *testing.F) {
	for _, s := range []string{":7000", "[::1]:7000", "tcp6://[::]:1", "unix:/x?mode=0660", "localhost:0", "unix://a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(a.String())
		if err != nil || again.String() != a.String() {
			t.Errorf("Parse(%q) = %+v, and that as text gives %+v, %v", s, a, again, err)
		}
	})
}
