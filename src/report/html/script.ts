/** What the page can do beyond being read: search the log, sort tables, and print what is folded. It needs none of it. */
export const SCRIPT = `
(function () {
  'use strict';
  var root = document.documentElement;
  root.classList.add('js');

  var log = document.querySelector('.log');
  var search = document.getElementById('log-search');
  if (log && search) {
    var level = document.getElementById('log-level');
    var count = document.getElementById('log-count');
    var lines = Array.prototype.map.call(log.children, function (line) {
      var span = line.querySelector('span');
      return { line: line, span: span, text: span.textContent, lower: line.textContent.toLowerCase(), level: Number(line.className.slice(1)) };
    });
    var marked = [];
    var show = function () {
      var words = search.value.toLowerCase();
      var worst = Number(level.value);
      var shown = 0;
      marked.forEach(function (one) { one.span.textContent = one.text; });
      marked = [];
      lines.forEach(function (one) {
        var hit = one.level <= worst && (words === '' || one.lower.indexOf(words) >= 0);
        one.line.hidden = !hit;
        if (!hit) return;
        shown++;
        var at = words === '' ? -1 : one.text.toLowerCase().indexOf(words);
        if (at < 0 || marked.length > 2000) return;
        var mark = document.createElement('mark');
        mark.textContent = one.text.slice(at, at + words.length);
        one.span.textContent = '';
        one.span.append(one.text.slice(0, at), mark, one.text.slice(at + words.length));
        marked.push(one);
      });
      count.textContent = shown === lines.length ? lines.length + ' lines' : shown + ' of ' + lines.length;
    };
    var timer;
    search.addEventListener('input', function () { clearTimeout(timer); timer = setTimeout(show, 80); });
    level.addEventListener('change', show);
    show();
    log.scrollTop = log.scrollHeight;
  }

  document.querySelectorAll('table.sorts').forEach(function (table) {
    var body = table.tBodies[0];
    table.querySelectorAll('th button').forEach(function (button) {
      button.addEventListener('click', function () {
        var head = button.parentNode;
        var column = head.cellIndex;
        var up = head.getAttribute('aria-sort') !== 'ascending';
        table.querySelectorAll('th[aria-sort]').forEach(function (other) { other.removeAttribute('aria-sort'); });
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        var numeric = head.classList.contains('num');
        var value = function (row) {
          var cell = row.cells[column];
          var text = cell.dataset.value === undefined ? cell.textContent : cell.dataset.value;
          return numeric ? (text === '' ? -1 : Number(text)) : text.toLowerCase();
        };
        Array.prototype.slice.call(body.rows)
          .map(function (row) { return { row: row, key: value(row) }; })
          .sort(function (a, b) { return (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) * (up ? 1 : -1); })
          .forEach(function (one) { body.appendChild(one.row); });
      });
    });
  });

  var folded = [];
  addEventListener('beforeprint', function () {
    folded = Array.prototype.filter.call(document.querySelectorAll('details:not([open]):not(.quiet)'), function (one) { one.open = true; return true; });
  });
  addEventListener('afterprint', function () { folded.forEach(function (one) { one.open = false; }); });
})();
`.trim();
