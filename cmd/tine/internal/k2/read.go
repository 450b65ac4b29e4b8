package k2

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readXML reads elements with attributes, of a whole document or of a part of one. <add server= pipe=/> is a server, <add uid= value=/> a
// multiplier and <add key= value=/> a parameter; a parameter may be an attribute or an element too.
func (s *settings) readXML(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) {
		return nil, errors.New("it is not UTF-8: save it as UTF-8 first")
	}
	var open []string
	for {
		token, err := d.Token()
		line, _ := d.InputPos()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			syntax := (*xml.SyntaxError)(nil)
			if errors.As(err, &syntax) {
				return faultf(syntax.Line, "it is not XML: %s", syntax.Msg)
			}
			return faultf(line, "it is not XML: %v", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			open = append(open, t.Name.Local)
			if err := s.element(line, t); err != nil {
				return err
			}
		case xml.EndElement:
			open = open[:max(len(open)-1, 0)]
		case xml.CharData:
			value := strings.TrimSpace(string(t))
			if value == "" || len(open) == 0 {
				continue
			}
			if _, err := s.set(line, open[len(open)-1], value); err != nil {
				return err
			}
		}
	}
}

func (s *settings) element(line int, t xml.StartElement) error {
	of := map[string]string{}
	for _, a := range t.Attr {
		of[strings.ToLower(a.Name.Local)] = a.Value
	}
	if host, ok := of["server"]; ok {
		return s.addServer(line, host, of["pipe"])
	}
	if uid, ok := of["uid"]; ok {
		return s.addMultiplier(line, uid, of["value"])
	}
	if key, ok := of["key"]; ok {
		known, err := s.set(line, key, of["value"])
		if err == nil && !known {
			s.note("line %d: %q is not a word of the load balancer, and was left out", line, key)
		}
		return err
	}
	for name, value := range of {
		known, err := s.set(line, name, value)
		if err != nil {
			return err
		}
		if !known && strings.EqualFold(t.Name.Local, "loadBalancer") {
			s.note("line %d: %q is not a word of the load balancer, and was left out", line, name)
		}
	}
	return nil
}

// readJSON reads objects with the same words, at any depth. A multiplier may also be an object with the statistics as its keys.
func (s *settings) readJSON(text string) error {
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	d.UseNumber()
	line := func() int { return 1 + strings.Count(text[:min(int(d.InputOffset()), len(text))], "\n") }
	wrong := func(err error) error {
		syntax := (*json.SyntaxError)(nil)
		if errors.As(err, &syntax) {
			return faultf(1+strings.Count(text[:min(int(syntax.Offset), len(text))], "\n"), "it is not JSON: %v", err)
		}
		return faultf(line(), "it is not JSON: %v", err)
	}
	r := &jsonReader{s: s, d: d, line: line}
	if err := r.value("", 0); err != nil {
		if own := (*fault)(nil); errors.As(err, &own) {
			return err
		}
		return wrong(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return faultf(line(), "it is not JSON: there is something behind its end")
	}
	return nil
}

type jsonReader struct {
	s    *settings
	d    *json.Decoder
	line func() int
}

// mostDepth bounds the nesting of objects and lists.
const mostDepth = 100

// value reads the value of a key.
func (r *jsonReader) value(key string, depth int) error {
	token, err := r.d.Token()
	if err != nil {
		return unexpected(err)
	}
	if depth > mostDepth {
		return faultf(r.line(), "it is nested more than %d times", mostDepth)
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			for r.d.More() {
				if err := r.value(key, depth+1); err != nil {
					return err
				}
			}
			_, err := r.d.Token()
			return unexpected(err)
		}
		return r.object(key, depth)
	case nil:
		return nil
	}
	value := fmt.Sprint(token)
	if strings.EqualFold(key, "appServers") {
		return r.s.addServer(r.line(), value, "")
	}
	if _, err := r.s.set(r.line(), key, value); err != nil {
		return err
	}
	return nil
}

// object reads one, up to its end. of is the key that it is of.
func (r *jsonReader) object(of string, depth int) error {
	begun, plain := r.line(), map[string]string{}
	inMultiplier := strings.EqualFold(of, "multiplier") || strings.EqualFold(of, "multipliers")
	for r.d.More() {
		token, err := r.d.Token()
		if err != nil {
			return unexpected(err)
		}
		key, _ := token.(string)
		switch lower := strings.ToLower(key); {
		case lower == "server", lower == "pipe", lower == "uid", lower == "value":
			var value any
			if err := r.d.Decode(&value); err != nil {
				return unexpected(err)
			}
			switch value.(type) {
			case string, json.Number:
				plain[lower] = fmt.Sprint(value)
			default:
				return faultf(r.line(), "%s is neither a text nor a number", key)
			}
		case inMultiplier:
			var value any
			if err := r.d.Decode(&value); err != nil {
				return unexpected(err)
			}
			if err := r.s.addMultiplier(r.line(), key, fmt.Sprint(value)); err != nil {
				return err
			}
		default:
			if err := r.value(key, depth+1); err != nil {
				return err
			}
		}
	}
	if _, err := r.d.Token(); err != nil {
		return unexpected(err)
	}
	if host, ok := plain["server"]; ok {
		return r.s.addServer(begun, host, plain["pipe"])
	}
	if uid, ok := plain["uid"]; ok {
		return r.s.addMultiplier(begun, uid, plain["value"])
	}
	return nil
}

// unexpected makes the end of the text within a value an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
