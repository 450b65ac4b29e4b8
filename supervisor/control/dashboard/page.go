package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"path"
	"sync"
	"time"
)

//go:embed page
var pages embed.FS

// file is one file of the page, as the browser gets it.
type file struct {
	path        string // of the URL
	contentType string
	data        []byte
	tag         string // of its content, so that it is not sent twice
}

// types are those of the files: the system's own table may say otherwise.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// inlined are the files that the page cannot be painted without. They are put into it,
// so that the first paint waits for one answer; the policy has their hashes.
var inlined = []struct{ name, reference, before, after string }{
	{"style.css", `<link rel="stylesheet" href="/style.css">`, "<style>", "</style>"},
	{"theme.js", `<script src="/theme.js"></script>`, "<script>", "</script>"},
}

// files are all of the page.
var files = sync.OnceValue(func() (all []*file) {
	entries, err := pages.ReadDir("page")
	if err != nil {
		panic(err) // it was built in
	}
	for _, entry := range entries {
		f := &file{path: "/" + entry.Name(), contentType: types[path.Ext(entry.Name())], data: read(entry.Name())}
		if entry.Name() == "index.html" {
			f.path = "/{$}"
			for _, in := range inlined {
				text := in.before + string(read(in.name)) + in.after
				f.data = bytes.Replace(f.data, []byte(in.reference), []byte(text), 1)
			}
		} else if isInlined(entry.Name()) {
			continue
		}
		sum := sha256.Sum256(f.data)
		f.tag = `"` + hex.EncodeToString(sum[:8]) + `"`
		all = append(all, f)
	}
	return all
})

func isInlined(name string) bool {
	for _, in := range inlined {
		if in.name == name {
			return true
		}
	}
	return false
}

func read(name string) []byte {
	data, err := pages.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it was built in
	}
	return data
}

// hashOf is how a Content-Security-Policy names an inlined file (CSP 3, section 2.3.1).
func hashOf(name string) string {
	sum := sha256.Sum256(read(name))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(fileTimeout))
	defer func() { _ = c.SetWriteDeadline(time.Time{}) }() // the connection goes on to a stream
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache") // asks each time, and is told that nothing changed
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}
