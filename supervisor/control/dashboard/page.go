package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
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

// files are all of the page.
var files = sync.OnceValue(func() (all []*file) {
	entries, err := fs.ReadDir(pages, "page")
	if err != nil {
		panic(err) // it was built in
	}
	for _, entry := range entries {
		data, err := pages.ReadFile("page/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		f := &file{path: "/" + entry.Name(), contentType: types[path.Ext(entry.Name())], data: data, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		if f.contentType == "" {
			f.contentType = mime.TypeByExtension(path.Ext(entry.Name()))
		}
		if entry.Name() == "index.html" {
			f.path = "/{$}"
		}
		all = append(all, f)
	}
	return all
})

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
