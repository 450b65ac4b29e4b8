package listen

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlace(t *testing.T) {
	real := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(real)
	lo := loopbackName(t)
	for _, c := range []struct {
		a, b     string
		relation string // same, overlap or apart
		wayOut   string
	}{
		{"unix:" + real + "/a", "unix:" + link + "/a", "same", ""},
		{"unix:a", "unix:" + real + "/a", "same", ""},
		{"unix:a?mode=0660", "unix:a", "same", ""},
		{"unix:" + real + "/new/folder/a", "unix:" + link + "/new/folder/a", "same", ""},
		{"unix:a", "unix:b", "apart", ""},
		{"unix:a/b", "unix:b", "apart", ""},
		{":80", "[::]:80", "same", "the two are the same"},
		{":80", ":080", "same", "the two are the same"},
		{"0.0.0.0:80", "tcp4://:80", "same", "the two are the same"},
		{"0.0.0.0:80", "[::ffff:0.0.0.0]:80", "same", "the two are the same"},
		{"localhost:80", "127.0.0.1:80", "same", "the two are the same"},
		{"LocalHost.:80", "127.0.0.1:80", "same", "the two are the same"},
		{"tcp6://localhost:80", "[::1]:80", "same", "the two are the same"},
		{"localhost:80", "[::1]:80", "apart", ""},
		{"[::ffff:192.0.2.1]:80", "192.0.2.1:80", "same", "the two are the same"},
		{"[2001:DB8::1]:80", "[2001:db8:0::1]:80", "same", "the two are the same"},
		{"[fe80::1%" + lo + "]:80", "[fe80::1%1]:80", "same", "the two are the same"},
		{"[fe80::1%1]:80", "[fe80::1%2]:80", "apart", ""},
		{"[::1%1]:80", "[::1]:80", "same", "the two are the same"},
		{"web.example:80", "Web.Example.:80", "same", "the two are the same"},
		{"web.example:80", "api.example:80", "apart", ""},
		{"0.0.0.0:80", "[::]:80", "overlap", "[::]:80 takes IPv4 as well; keep that alone, or write tcp6://[::]:80 for IPv6 only"},
		{"tcp6://[::]:80", ":80", "overlap", ":80 takes IPv6 as well; keep that alone, or write tcp4://:80 for IPv4 only"},
		{"192.0.2.1:80", ":80", "overlap", "write tcp6://[::]:80 for IPv6 only"},
		{"[::1]:80", ":80", "overlap", "write tcp4://:80 for IPv4 only"},
		{"192.0.2.1:80", "0.0.0.0:80", "overlap", "0.0.0.0:80 takes it as well"},
		{"[::1]:80", "tcp6://:80", "overlap", "tcp6://:80 takes it as well"},
		{"[::1]:80", "0.0.0.0:80", "apart", ""},
		{"tcp4://:80", "tcp6://:80", "apart", ""},
		{":80", ":81", "apart", ""},
		{":0", ":0", "same", ""},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			both := mustParse(t, pair[0], pair[1])
			p, o := both[0].Place(), both[1].Place()
			is := "apart"
			if p == o {
				is = "same"
			} else if p.Overlaps(o) {
				is = "overlap"
			}
			if is != c.relation {
				t.Errorf("%s and %s: %s, want %s", pair[0], pair[1], is, c.relation)
			}
			if got := WayOut(both[0], both[1]); !strings.Contains(got, c.wayOut) || (got == "") != (c.wayOut == "") {
				t.Errorf("%s and %s: the way out is %q, want %q", pair[0], pair[1], got, c.wayOut)
			}
		}
	}
}

func loopbackName(t *testing.T) string {
	t.Helper()
	if balances {
		return "lo"
	}
	return "lo0"
}
