"use strict";
(() => {
  const table = document.getElementById("tables");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const find = document.getElementById("find");
  const verdict = document.getElementById("verdict");
  const shown = document.getElementById("shown");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const wanted = find.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = (!verdict.value || row.dataset.verdict === verdict.value) && texts.get(row).includes(wanted);
      row.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };

  const sort = (head) => {
    const column = head.cellIndex;
    const rising = head.getAttribute("aria-sort") !== "ascending";
    const numeric = head.dataset.sort === "number";
    const value = (row) => {
      const cell = row.cells[column];
      return numeric ? Number(cell.dataset.value) : cell.textContent;
    };
    rows.sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      const order = numeric ? left - right : left.localeCompare(right);
      return rising ? order : -order;
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    body.append(...rows);
  };

  for (const head of table.tHead.rows[0].cells) {
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head); });
  }
  find.addEventListener("input", filter);
  verdict.addEventListener("change", filter);
  filter();
})();
