// The dashboard as Grafana imports it (Dashboards → New → Import). The data source is chosen at the import.
import { type Panel, rows } from './panels.ts';

const WIDTH = 24;
const PANEL_WIDTH = 8;
const PANEL_HEIGHT = 8;
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills it in
const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

function panelOf({ title, description, unit, queries }: Panel, id: number, x: number, y: number) {
  return {
    id,
    type: 'timeseries',
    title,
    description,
    datasource: DATASOURCE,
    gridPos: { h: PANEL_HEIGHT, w: PANEL_WIDTH, x, y },
    fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 8, showPoints: 'never' } }, overrides: [] },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: queries.map(({ expr, legend }, index) => ({
      ...{ refId: String.fromCharCode(65 + index), datasource: DATASOURCE, expr, legendFormat: legend },
    })),
  };
}

export function dashboardFile(): string {
  const panels: unknown[] = [];
  let id = 1;
  let y = 0;
  for (const { title, panels: ofRow } of rows) {
    panels.push({ id: id++, type: 'row', title, collapsed: false, gridPos: { h: 1, w: WIDTH, x: 0, y }, panels: [] });
    y += 1;
    const inLine = WIDTH / PANEL_WIDTH;
    ofRow.forEach((panel, index) => {
      const line = Math.floor(index / inLine);
      panels.push(panelOf(panel, id++, (index % inLine) * PANEL_WIDTH, y + line * PANEL_HEIGHT));
    });
    y += Math.ceil(ofRow.length / inLine) * PANEL_HEIGHT;
  }
  const dashboard = {
    title: 'Vernier',
    uid: 'vernier',
    tags: ['vernier', 'rocketmq'],
    schemaVersion: 38,
    editable: true,
    refresh: '15s',
    time: { from: 'now-1h', to: 'now' },
    templating: {
      list: [
        { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} },
        {
          ...{ name: 'node', label: 'Broker', type: 'query', datasource: DATASOURCE, refresh: 2, sort: 1 },
          ...{ query: 'label_values(vernier_info, node_id)', definition: 'label_values(vernier_info, node_id)' },
          ...{ multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } },
        },
      ],
    },
    panels,
  };
  return `${JSON.stringify(dashboard, undefined, 2)}\n`;
}
