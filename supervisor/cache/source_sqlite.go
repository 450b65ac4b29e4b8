package cache

import (
	"errors"
	"net/url"
	"strings"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// sqliteReadOnly returns the file that a data source name means, and the name that opens it for reading only: a value is
// asked for every few seconds, so it must not create a database, hold a writer's lock or wait for one for long.
func sqliteReadOnly(dsn string) (file, readOnly string, err error) {
	if dsn == "" {
		return "", "", errors.New("no file given")
	}
	if strings.Contains(dsn, ":memory:") || strings.Contains(dsn, "mode=memory") {
		return "", "", errors.New("a database in memory has nothing that could be read: give a file")
	}
	path, query, _ := strings.Cut(dsn, "?")
	if uri, ok := strings.CutPrefix(path, "file:"); ok {
		uri = strings.TrimPrefix(uri, "//")
		if path, err = url.PathUnescape(uri); err != nil {
			return "", "", err
		}
	} else if strings.ContainsAny(dsn, "?") {
		// Only a URI has parameters: in a plain name the ? belongs to the file.
		path, query = dsn, ""
	}
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return "", "", err
	}
	parameters.Set("mode", "ro")
	parameters["_pragma"] = append(parameters["_pragma"], "busy_timeout(2000)", "query_only(1)", "cache_size(-512)")
	return path, "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + parameters.Encode(), nil
}
