document.querySelectorAll("th").forEach(function (cell) {
  cell.addEventListener("click", function () {
    var table = cell.closest("table"), at = cell.cellIndex, body = table.tBodies[0];
    var down = cell.dataset.down = cell.dataset.down === "1" ? "0" : "1";
    var value = function (row) { return row.cells[at].textContent; };
    var compare = function (a, b) {
      var x = parseFloat(value(a)), y = parseFloat(value(b));
      return isNaN(x) || isNaN(y) ? value(a).localeCompare(value(b)) : x - y;
    };
    Array.from(body.rows).sort(function (a, b) { return down === "1" ? compare(b, a) : compare(a, b); })
      .forEach(function (row) { body.appendChild(row); });
  });
});
