package listen

import "testing"

func TestReach(t *testing.T) {
	for text, want := range map[string]string{
		":80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "tcp6://:80": "[::1]:80", "10.0.0.1:80": "10.0.0.1:80",
		"localhost:80": "localhost:80", "unix:/run/web.sock?mode=0660": "/run/web.sock",
	} {
		a, err := Parse(text)
		if err != nil || a.Reach() != want {
			t.Errorf("%s: %q, %v, want %q", text, a.Reach(), err, want)
		}
	}
}
